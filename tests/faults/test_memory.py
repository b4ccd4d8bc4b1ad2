"""How much memory the bridge takes, at rest and at the worst."""

import pytest

from tests.faults.site import Site

MEBIBYTE = 1 << 20
EVENTS = 200_000
PEAK = 350 * MEBIBYTE
AT_REST = 120 * MEBIBYTE


@pytest.mark.parametrize("web", [{"max_interval": 60.0}], indirect=True)
async def test_a_reply_with_200_000_events(site: Site) -> None:
    """200,000 events waiting in one reply arrive once each, under 350 MB; a bridge at rest has less than 120 MB."""
    bridge = await site.ready_bridge()
    assert bridge.memory("VmRSS") < AT_REST
    await bridge.terminate()
    await site.ledger.generate(EVENTS, keys=1000)
    [waiting] = await site.web.sessions()
    assert waiting.queued >= EVENTS
    bridge = await site.ready_bridge(KAFKA__REQUEST_TIMEOUT="10")

    async def published() -> bool:
        return await bridge.metric("bridge_events_published_total") >= EVENTS

    await bridge.until(published, within=60, what="done with the reply")
    assert bridge.memory("VmHWM") < PEAK
    assert await bridge.handshakes() == 0
    account = await site.settled()
    assert account.changes == ["opened"]
