"""The ingress before the real CometD server and the Web Services around it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from bridge.simulator.faults import HTTP_FAULTS
from tests.behaviour.ingress import IngressBehaviour, Upstream
from tests.fault_proxy import FaultProxy
from tests.real import RealWebServices


class RealUpstream:
    """The Java server behind a proxy, as the behaviour suite steers it: the proxy has the faults of the wire."""

    def __init__(self, server: RealWebServices, proxy: FaultProxy) -> None:
        self._server = server
        self._proxy = proxy

    @property
    def url(self) -> str:
        return self._proxy.url

    async def posted(self) -> list[tuple[str, dict[str, Any]]]:
        return [(one.path, one.body) for one in await self._server.operations()]

    async def fault(self, line: str) -> None:
        if line.partition(":")[0] in HTTP_FAULTS:
            self._proxy.faults.from_text(line)
        else:
            await self._server.faults.add(line)

    async def drop_logins(self) -> None:
        await self._server.drop_logins()

    async def stop(self) -> None:
        await self._server.kill()


class TestIngressToRealServer(IngressBehaviour):
    """Before the real server."""

    @pytest_asyncio.fixture
    async def upstream(self, real_web_services: RealWebServices) -> AsyncIterator[Upstream]:
        async with FaultProxy(real_web_services.url) as proxy:
            yield RealUpstream(real_web_services, proxy)
