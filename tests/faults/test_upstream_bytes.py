"""Bytes of Web Services that would fill the memory."""

import time

import pytest

from bridge.simulator import Fault
from tests.fault_proxy import FaultProxy
from tests.faults.site import Site

MEBIBYTE = 1 << 20
LIMIT = 32 * MEBIBYTE
AT_REST = 120 * MEBIBYTE
LONGEST_ANSWER = 2.0
"""Seconds that GET /health/live may take meanwhile, on a busy machine."""


@pytest.mark.parametrize("on", ["connect", "login"])
@pytest.mark.parametrize("name", ["zip-bomb", "endless-body"])
async def test_a_reply_without_end(site: Site, name: str, on: str) -> None:
    """A reply that never ends costs the limit's memory and no more; health answers meanwhile; then events flow."""
    async with FaultProxy(site.web.url) as proxy:
        proxy.faults.add(Fault(name, on=on, times=3))
        bridge = await site.bridge(WEB_SERVICES__URL=proxy.url, WEB_SERVICES__MAX_REPLY_BYTES=str(LIMIT))

        async def struck() -> bool:
            began = time.monotonic()
            assert await bridge.live()
            assert time.monotonic() - began < LONGEST_ANSWER
            return proxy.faults.struck.get(name) == 3

        await bridge.until(struck, within=60, what="struck")
        await bridge.ready(within=60)
        assert bridge.memory("VmHWM") < AT_REST + 1.5 * LIMIT
        await site.ledger.publish(10)
        await site.settled()
