"""Kafka down, hanging, slow, without its topics, or with another coordinator."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.delivery import slot_of
from bridge.delivery.client.topics import transactional_ids_of
from tests.faults.bridge_process import BridgeProcess
from tests.faults.coordinators import CoordinationType, coordinator
from tests.faults.site import Site, killed, paused
from tests.faults.tcp_proxy import TcpProxy
from tests.real import RealKafka, kafka_admin

MAX_INTERVAL = 4.0
SHORT = pytest.mark.parametrize("web", [{"max_interval": MAX_INTERVAL}], indirect=True)


async def hold(bridge: BridgeProcess, seconds: float) -> None:
    """Watch the bridge for as long as Kafka is away: soon not ready for Kafka's sake, and live all the time."""
    until = time.monotonic() + seconds
    await bridge.without("kafka", within=seconds)
    assert until - time.monotonic() > seconds / 3, "the bridge was late to say that Kafka is away"
    while time.monotonic() < until:
        assert {one.name for one in await bridge.missing()} == {"kafka"}
        assert await bridge.live()
        await asyncio.sleep(0.2)  # how often is of no matter: the outage is a time


@asynccontextmanager
async def undisturbed(site: Site) -> AsyncIterator[BridgeProcess]:
    """A bridge under load. After the block it gets ready, has all events in Kafka, and still its first session."""
    bridge = await site.ready_bridge()
    sessions = await site.client_ids()
    async with site.load():
        yield bridge
        await bridge.ready()
    assert await bridge.handshakes() == 1
    assert await site.client_ids() == sessions
    account = await site.settled()
    assert account.changes == ["opened"]


@SHORT
async def test_kafka_killed_and_restarted(site: Site, own_kafka: RealKafka) -> None:
    """Kafka away for 3.5 times maxInterval: not ready, live, the batch held; afterwards all arrives, in the session."""
    async with undisturbed(site) as bridge, killed(own_kafka):
        await hold(bridge, 3.5 * MAX_INTERVAL)
        assert (await bridge.session()).held_events > 0


@SHORT
async def test_kafka_hangs(site: Site, own_kafka: RealKafka) -> None:
    """Kafka suspended for 3 times maxInterval, its connections open: the same."""
    async with undisturbed(site) as bridge, paused(own_kafka):
        await hold(bridge, 3 * MAX_INTERVAL)


@SHORT
async def test_bridge_crashes_while_kafka_is_away(site: Site, own_kafka: RealKafka) -> None:
    """Nobody can keep a session whose position can't be read: it is lost, and the successor tells so by one gap."""
    bridge = await site.ready_bridge()
    first = await site.ledger.publish(10)
    await site.arrived(10)
    async with killed(own_kafka):
        await bridge.kill()
        during = await site.ledger.publish(10)
        bridge = await site.bridge()
        await bridge.without("kafka")
        async with asyncio.timeout(4 * MAX_INTERVAL):
            while await site.client_ids():  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.1)
        assert await bridge.live()
    await bridge.ready()
    last = await site.ledger.publish(10)
    account = await site.settled()
    assert account.changes == ["opened", "lost", "gap", "opened"]
    assert account.lost == list(range(during.first, during.first + during.count))
    assert sorted(await site.ledger.references()) == [
        *range(first.first, during.first),
        *range(last.first, last.first + 10),
    ]


@SHORT
async def test_kafka_is_slow(proxied: tuple[Site, TcpProxy]) -> None:
    """A Kafka that takes seconds for each transaction delays the events, and costs nothing else."""
    site, proxy = proxied
    async with undisturbed(site) as bridge:
        before = await bridge.metric("bridge_kafka_transactions_total", result="committed")

        async def three_committed() -> bool:
            return await bridge.metric("bridge_kafka_transactions_total", result="committed") >= before + 3

        proxy.delay = 0.25
        try:
            await bridge.until(three_committed, within=45, what="three slow transactions further")
            assert await bridge.metric("bridge_event_delivery_seconds_sum") > 1
        finally:
            proxy.delay = 0.0


@pytest.mark.parametrize("topics", [["acknowledgements.v1", "sessions.v1"], ["bridge-state"]], ids=["events", "state"])
async def test_a_topic_is_deleted(site: Site, topics: list[str]) -> None:
    """A topic that is deleted under the bridge comes back, and what was not yet published arrives in it, once."""
    bridge = await site.ready_bridge()
    first = await site.ledger.publish(10)
    await site.arrived(10)
    async with asyncio.timeout(15), kafka_admin(site.kafka.bootstrap) as admin:
        await admin.delete_topics([f"{site.prefix}.{topic}" for topic in topics])
    if "bridge-state" not in topics:
        site.ledger.publications.remove(first)  # it went with its topic
    rest = [await site.ledger.publish(10) for _ in range(3)]

    async def published() -> bool:
        return await bridge.metric("bridge_events_published_total", topic=f"{site.prefix}.acknowledgements.v1") >= 40

    await bridge.until(published, within=40, what="publishing again")
    await bridge.ready()
    assert await bridge.handshakes() == 1
    account = await site.settled(within=0)
    assert len(account.seen) >= sum(publication.count for publication in rest)


async def test_the_transaction_coordinator_moves(two_brokers: tuple[Site, RealKafka]) -> None:
    """Its broker dies and another one takes over; then it is back, and is made the coordinator again."""
    site, second = two_brokers
    identity, _ = transactional_ids_of(site.settings, slot_of("agent", site.settings.slots))

    async def moved_to(broker: int) -> None:
        async with asyncio.timeout(30):
            while await coordinator(site, identity, CoordinationType.TRANSACTION) != broker:  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(0.1)
        await site.caught_up()

    async with undisturbed(site):
        await moved_to(2)
        await second.kill()
        await moved_to(1)
        await second.restart()
        await moved_to(2)
