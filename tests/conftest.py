"""Fixtures and settings for every test."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from bridge.simulator import EmbeddedBroker

pytest_plugins = ["tests.real.fixtures", "tests.side_by_side", "tests.unit.served"]

# A busy machine makes an example slow. How long an example takes is no rule of the bridge.
settings.register_profile("busy-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy-machine")


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    """An embedded broker of one test's own. Files that share one among their tests have a fixture of this name."""
    broker = EmbeddedBroker()
    broker.start()
    yield broker
    broker.stop()
