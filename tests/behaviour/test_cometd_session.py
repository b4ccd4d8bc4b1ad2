"""The rules of a CometD session, on the stand-in and on a real CometD server."""

from typing import Any

from tests.behaviour.cometd_faults import HandshakeRules, OddReplyRules, PollFaultRules, SubscriptionRules
from tests.behaviour.cometd_session import DeliveryRules, LossRules, SuccessionRules
from tests.behaviour.cometd_upstream import Upstream, real, simulated
from tests.real import require_real_parts


class Rules(
    DeliveryRules, SuccessionRules, LossRules, PollFaultRules, HandshakeRules, SubscriptionRules, OddReplyRules
):
    """All of them."""


class TestSimulator(Rules):
    async def start_upstream(self, **options: Any) -> Upstream:
        return await simulated(**options)


class TestRealServer(Rules):
    async def start_upstream(self, **options: Any) -> Upstream:
        require_real_parts()
        return await real(**options)
