"""An operation whose acknowledgement does not come."""

import asyncio
from typing import Final

from tests.faults.operations import caller
from tests.faults.site import Site

TIMEOUT: Final = 1
"""Seconds that an acknowledgement may take."""


async def test_one_lost_acknowledgement_costs_no_session(site: Site) -> None:
    """One operation that nobody acknowledges makes the bridge probe and poll anew; the session stays, without a gap."""
    bridge = await site.ready_bridge(OPERATIONS__ACKNOWLEDGEMENT_TIMEOUT=str(TIMEOUT))
    await site.web.faults.add("acknowledgement-missing:rest:1")
    async with caller(bridge) as rest:
        assert (await rest.post("lost")).status == 200

        async def has_polled_anew() -> bool:
            return await bridge.metric("bridge_cometd_watchdog_steps_total", step="repoll") == 1

        await bridge.until(has_polled_anew, within=30, what="the watchdog's second step")
        await asyncio.sleep(10 * TIMEOUT)  # the rule is about this time
        assert [line["step"] for line in bridge.events("watchdog")] == ["probe", "repoll"]
        await bridge.ready()
        assert (await rest.post("found", "wait=10")).body["status"] == "acknowledged"
        assert await rest.status("lost") == "timed-out"
    assert await bridge.handshakes() == 1
    assert (await site.settled()).changes == ["opened"]
