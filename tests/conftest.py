"""Fixtures and settings for every test."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings

from bridge.__main__ import collect_rarely
from bridge.simulator import EmbeddedBroker

pytest_plugins = [
    "tests.real.fixtures",
    "tests.remembered_keys",
    "tests.side_by_side",
    "tests.unit.served",
    "tests.unit.settings_parts",
    "tests.unit.console_side",
]

# A busy machine makes an example slow. How long an example takes is no rule of the bridge.
settings.register_profile("busy-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy-machine")

collect_rarely()


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking at all tests and modules again and again."""
    gc.freeze()


@contextmanager
def _running_broker() -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker()
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    """An embedded broker of one test's own."""
    with _running_broker() as broker:
        yield broker


@pytest.fixture(scope="module")
def shared_broker() -> Iterator[EmbeddedBroker]:
    """An embedded broker that the tests of a file share."""
    with _running_broker() as broker:
        yield broker
