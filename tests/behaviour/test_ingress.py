"""The ingress before the stand-in."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bridge.simulator import Simulator
from tests.behaviour.ingress import IngressBehaviour, Upstream, ingress_to
from tests.page import REQUEST


class SimulatedUpstream:
    """The stand-in, as the behaviour suite steers it."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    @property
    def url(self) -> str:
        return self.simulator.url

    async def posted(self) -> list[tuple[str, dict[str, Any]]]:
        return [(one.path, one.body) for one in self.simulator.operations if one.status_code not in (20, None)]

    async def fault(self, line: str) -> None:
        self.simulator.faults.from_text(line)

    async def drop_logins(self) -> None:
        self.simulator.drop_logins()

    async def stop(self) -> None:
        await self.simulator.stop()


@pytest_asyncio.fixture
async def simulated() -> AsyncIterator[SimulatedUpstream]:
    async with Simulator() as simulator:
        yield SimulatedUpstream(simulator)


class TestIngressToSimulator(IngressBehaviour):
    """Before the stand-in."""

    @pytest.fixture
    def upstream(self, simulated: SimulatedUpstream) -> Upstream:
        return simulated

    async def test_server_without_csrf_needs_no_token(self) -> None:
        """With the CSRF protection off operations are accepted all the same."""
        async with Simulator(csrf=False) as simulator, ingress_to(simulator.url) as ingress:
            assert (await ingress.post(REQUEST))[0] == 200
