"""How much memory the bridge takes, at rest and at the worst."""

import pytest

from tests.faults.bridge_process import BridgeProcess
from tests.faults.site import Site, killed
from tests.real import RealKafka

MEBIBYTE = 1 << 20
EVENT = 1_200
"""Bytes of an event. An event of Web Services has about 300, but what counts for the memory are the reply's bytes."""
PAD = EVENT - 300
EVENTS = 25_000
MANY_EVENTS = 100_000
PEAK = 200 * MEBIBYTE
AT_REST = 120 * MEBIBYTE
SERVER_HEAP = pytest.mark.parametrize("web", [{"max_interval": 240.0, "heap": "3g"}], indirect=True)


async def published(bridge: BridgeProcess, count: int, *, within: float) -> None:
    async def enough() -> bool:
        return await bridge.metric("bridge_events_published_total") >= count

    await bridge.until(enough, within=within, what=f"done with {count} events")


@SERVER_HEAP
async def test_a_very_long_reply(site: Site) -> None:
    """120 MB of events waiting arrive once each, under 200 MB; a bridge at rest has less than 120 MB."""
    site.own_interpreter = True  # a fork has the memory of the process that it comes from
    bridge = await site.ready_bridge()
    assert bridge.memory("VmRSS") < AT_REST
    await bridge.terminate()
    await site.ledger.generate(MANY_EVENTS, keys=1000, pad=PAD)
    [waiting] = await site.web.sessions()
    assert waiting.queued >= MANY_EVENTS
    bridge = await site.ready_bridge(KAFKA__REQUEST_TIMEOUT="10")
    await published(bridge, MANY_EVENTS, within=240)
    assert bridge.memory("VmHWM") < PEAK
    assert await bridge.handshakes() == 0
    account = await site.settled(within=0)
    assert account.changes == ["opened"]


@SERVER_HEAP
async def test_kafka_is_away_in_the_middle_of_a_reply(site: Site, own_kafka: RealKafka) -> None:
    """Kafka killed while a long reply is on the wire: the session is kept, and each event arrives once."""
    bridge = await site.ready_bridge(KAFKA__REQUEST_TIMEOUT="10")
    await bridge.terminate()
    await site.ledger.generate(EVENTS, keys=1000, pad=PAD)
    bridge = await site.bridge(KAFKA__REQUEST_TIMEOUT="10")
    await published(bridge, 1, within=60)
    async with killed(own_kafka):
        assert await bridge.metric("bridge_events_published_total") < EVENTS
        await bridge.without("kafka")
        assert bridge.memory("VmHWM") < PEAK
    await published(bridge, EVENTS, within=120)
    assert await bridge.handshakes() == 0
    account = await site.settled()
    assert account.changes == ["opened"]


@SERVER_HEAP
async def test_ends_in_the_middle_of_a_reply(site: Site) -> None:
    """A bridge that is killed, and one that is stopped, in the middle of a long reply: each event arrives once."""
    bridge = await site.ready_bridge()
    await bridge.terminate()
    await site.ledger.generate(EVENTS, keys=1000, pad=PAD)
    for end in ("kill", "terminate"):
        bridge = await site.bridge()
        await published(bridge, 1, within=60)
        assert await bridge.metric("bridge_events_published_total") < EVENTS
        await (bridge.kill() if end == "kill" else bridge.terminate(within=10))
    await site.ready_bridge()
    account = await site.settled(within=120)
    assert account.changes == ["opened"]
