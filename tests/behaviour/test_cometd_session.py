"""The rules of a CometD session, on the stand-in and on a real CometD server."""

from typing import Any

import pytest

from tests.behaviour.cometd_faults import HandshakeRules, OddReplyRules, PollFaultRules, SubscriptionRules
from tests.behaviour.cometd_session import DeliveryRules, LossRules, SuccessionRules
from tests.behaviour.cometd_upstream import RealUpstream, Upstream, simulated
from tests.real.fixtures import WebServicesServers


class Rules(
    DeliveryRules, SuccessionRules, LossRules, PollFaultRules, HandshakeRules, SubscriptionRules, OddReplyRules
):
    """All of them."""


class TestSimulator(Rules):
    async def start_upstream(self, **options: Any) -> Upstream:
        return await simulated(**options)


class TestRealServer(Rules):
    @pytest.fixture(autouse=True)
    def servers(self, web_services_servers: WebServicesServers) -> None:
        self._servers = web_services_servers

    async def start_upstream(self, **options: Any) -> Upstream:
        return RealUpstream(await self._servers.get(**options))
