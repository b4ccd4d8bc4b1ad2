"""What the bridge must do with each version of a neighbour."""

from collections import Counter

from tests.faults.operations import caller, events_of
from tests.faults.site import Site, killed


async def end_to_end(site: Site) -> None:
    """Relay a load through a crash of the bridge and of the broker, each event once; then forward an operation."""
    bridge = await site.ready_bridge()
    async with site.load():
        await bridge.kill()
        bridge = await site.ready_bridge()
        await site.caught_up()
        async with killed(site.kafka):
            await bridge.without("kafka")
        await bridge.ready(within=60)
        await site.caught_up()
    await site.settled()
    bridge = await site.ready_bridge()
    async with caller(bridge) as client:
        answer = await client.post("compatibility-1")
        assert answer.status == 200, answer.body
        await client.until("compatibility-1", "acknowledged")
    acknowledged = Counter(event["referenceId"] for event in await events_of(site, "acknowledgements.v1"))
    assert acknowledged["compatibility-1"] == 1
