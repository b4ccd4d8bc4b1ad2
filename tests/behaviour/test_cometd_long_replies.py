"""The rules for long replies, on the stand-in and on a real CometD server."""

from typing import Any

from tests.behaviour.cometd_long_replies import LongReplyRules
from tests.behaviour.cometd_upstream import Upstream, real, simulated
from tests.real import require_real_parts


class TestSimulator(LongReplyRules):
    async def start_upstream(self, **options: Any) -> Upstream:
        return await simulated(**options)


class TestRealServer(LongReplyRules):
    async def start_upstream(self, **options: Any) -> Upstream:
        require_real_parts()
        return await real(**options)
