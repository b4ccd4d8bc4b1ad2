"""pytest fixtures of the real parts; a plugin of tests/conftest.py."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.real.cometd import RealWebServices
from tests.real.kafka import RealKafka
from tests.real.registry import RealRegistry
from tests.real.required import require_real_parts


@pytest_asyncio.fixture(scope="session")
async def real_kafka() -> AsyncIterator[RealKafka]:
    """One Kafka for the whole run: a test uses topics and group ids of its own, and leaves the broker running."""
    require_real_parts()
    async with RealKafka() as kafka:
        yield kafka


@pytest_asyncio.fixture(scope="session")
async def real_registry() -> AsyncIterator[RealRegistry]:
    """One schema registry for the whole run: a test uses topics, and so subjects, of its own."""
    require_real_parts()
    async with RealRegistry() as registry:
        yield registry


@pytest_asyncio.fixture
async def real_web_services(request: pytest.FixtureRequest) -> AsyncIterator[RealWebServices]:
    """A Web Services server for one test; parametrize it indirectly with a dict of options for `start`."""
    require_real_parts()
    server = RealWebServices()
    await server.start(**getattr(request, "param", {}))
    async with server:
        yield server
