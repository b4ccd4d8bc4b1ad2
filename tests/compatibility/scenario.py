"""What the bridge must do with each version of a neighbour."""

from collections import Counter
from collections.abc import Collection

from tests.faults.bridge_process import BridgeProcess
from tests.faults.operations import caller, events_of
from tests.faults.site import Site, killed
from tests.real import RealKafka

RATE = 100
"""Events/s. Each look at Kafka reads all events again: a higher rate would mostly measure the test."""
MAX_INTERVAL = 60.0
"""Seconds for which a CometD server keeps a session without its client. A restart may take long on a busy machine."""
AWAY = 60.0
"""Seconds in which a bridge must notice that its Kafka is away, or be ready again. Old brokers start slowly."""


async def ready_bridge(site: Site, **changes: str) -> BridgeProcess:
    """Start a bridge, and wait until it is ready."""
    bridge = await site.bridge(**changes)
    await bridge.ready(within=AWAY)
    return bridge


async def end_to_end(site: Site, kafka: RealKafka) -> None:
    """Relay a load through a crash of the bridge and of the broker, each event once; then forward an operation."""
    bridge = await ready_bridge(site)
    opened = await first_session(site, bridge)
    async with site.load(rate=RATE):
        await bridge.kill()
        bridge = await ready_bridge(site)
        await site.caught_up()
        async with killed(kafka):
            await bridge.without("kafka", within=AWAY)
        await bridge.ready(within=AWAY)
        await site.caught_up()
    assert await bridge.handshakes() == 0
    assert (await bridge.terminate()).status == 0
    await forwards(site, await ready_bridge(site), opened)


async def first_session(site: Site, bridge: BridgeProcess) -> set[str]:
    """The CometD session that this bridge has just opened, by the only handshake."""
    opened = await site.client_ids()
    assert len(opened) == 1
    assert await bridge.handshakes() == 1
    return opened


async def forwards(site: Site, bridge: BridgeProcess, opened: set[str]) -> None:
    """Forward an operation by a bridge that goes on with the session `opened`, and end the scenario."""
    async with caller(bridge) as client:
        answer = await client.post("compatibility-1")
        assert answer.status == 200, answer.body
        await client.until("compatibility-1", "acknowledged")
    assert await bridge.handshakes() == 0
    assert await site.client_ids() == opened
    await undisturbed(site, ["compatibility-1"])


async def undisturbed(site: Site, operations: Collection[str]) -> None:
    """Every event is in Kafka once, all in the first session, and so is each operation's acknowledgement."""
    account = await site.settled()
    assert account.changes == ["opened"]
    assert account.lost == []
    acknowledged = Counter(event["referenceId"] for event in await events_of(site, "acknowledgements.v1"))
    assert {reference: acknowledged[reference] for reference in operations} == dict.fromkeys(operations, 1)
