"""The rules for long replies, on the stand-in and on a real CometD server."""

from typing import Any

import pytest

from tests.behaviour.cometd_long_replies import LongReplyRules
from tests.behaviour.cometd_upstream import RealUpstream, Upstream, simulated
from tests.real.fixtures import WebServicesServers


class TestSimulator(LongReplyRules):
    async def start_upstream(self, **options: Any) -> Upstream:
        return await simulated(**options)


class TestRealServer(LongReplyRules):
    @pytest.fixture(autouse=True)
    def servers(self, web_services_servers: WebServicesServers) -> None:
        self._servers = web_services_servers

    async def start_upstream(self, **options: Any) -> Upstream:
        return RealUpstream(await self._servers.get(**options))
