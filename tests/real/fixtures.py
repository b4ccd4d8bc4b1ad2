"""pytest fixtures of the real parts; a plugin of tests/conftest.py."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.real.cometd import RealWebServices
from tests.real.kafka import KafkaServer, RealKafka
from tests.real.registry import RealRegistry
from tests.real.required import require_real_parts


@pytest_asyncio.fixture(scope="session")
async def real_kafka() -> AsyncIterator[KafkaServer]:
    """One Kafka for all tests of a process. A test uses topics and group ids of its own, and leaves the broker running.

    One Kafka for all processes of a run would need less CPU time. But it creates and deletes topics one after the
    other, so each test would wait longer until its own new topics are known.
    """
    require_real_parts()
    async with RealKafka() as kafka:
        yield kafka


@pytest_asyncio.fixture(scope="module")
async def own_kafka() -> AsyncIterator[RealKafka]:
    """A Kafka for the tests of a file that kill or pause it."""
    require_real_parts()
    async with RealKafka() as kafka:
        yield kafka


@pytest.fixture
def kafka_server(request: pytest.FixtureRequest) -> KafkaServer:
    """The Kafka of one test: `own_kafka` if the test asks for it, otherwise `real_kafka`."""
    kafka = request.getfixturevalue("own_kafka" if "own_kafka" in request.fixturenames else "real_kafka")
    assert isinstance(kafka, KafkaServer)
    return kafka


@pytest_asyncio.fixture(scope="session")
async def real_registry() -> AsyncIterator[RealRegistry]:
    """One schema registry for the whole run: a test uses topics, and so subjects, of its own."""
    require_real_parts()
    async with RealRegistry() as registry:
        yield registry


class WebServicesServers:
    """Web Services servers for tests that follow each other. Tests that want the same options share a server."""

    def __init__(self) -> None:
        self._options: dict[str, Any] = {}
        self._server: RealWebServices | None = None

    async def get(self, **options: Any) -> RealWebServices:
        """Return a server that was started with these options of `start`, or was reset since. A test may kill it."""
        if self._server is None or options != self._options or not await _reset(self._server):
            await self.stop()
            server = RealWebServices()
            await server.start(**options)
            self._server, self._options = server, options
        return self._server

    async def stop(self) -> None:
        """Stop the server that is there."""
        if self._server is not None:
            await self._server.stop()
            self._server = None


async def _reset(server: RealWebServices) -> bool:
    """Reset a server. It can't be reset if the test before has killed it, or has failed while the server hung."""
    if not server.running:
        return False
    try:
        await server.reset()
    except (aiohttp.ClientError, TimeoutError):
        return False
    return True


@pytest_asyncio.fixture(scope="session")
async def web_services_servers() -> AsyncIterator[WebServicesServers]:
    """Gives each test that asks a server of its own for the time of the test."""
    require_real_parts()
    servers = WebServicesServers()
    yield servers
    await servers.stop()


@pytest_asyncio.fixture
async def real_web_services(
    web_services_servers: WebServicesServers, request: pytest.FixtureRequest
) -> RealWebServices:
    """A Web Services server for one test; parametrize it indirectly with a dict of options for `start`."""
    return await web_services_servers.get(**getattr(request, "param", {}))
