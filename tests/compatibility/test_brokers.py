"""A cluster whose brokers go one after the other, and a broker whose disc is full."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.compatibility.parts import PART, Note, suite_version, unavailable
from tests.compatibility.scenario import AWAY, MAX_INTERVAL, RATE, first_session, forwards, ready_bridge
from tests.compatibility.small_disc import SmallDisc
from tests.faults.conftest import web
from tests.faults.site import Site
from tests.real import Quorum, RealKafka, RealWebServices, StartFailed, kafka_admin, require_real_parts

__all__ = ["web"]

ATTENDED = pytest.mark.parametrize("web", [{"max_interval": MAX_INTERVAL}], indirect=True)
End = Callable[[RealKafka], Awaitable[None]]
ENDS: list[tuple[End, str]] = [(RealKafka.terminate, "restarted"), (RealKafka.kill, "killed")]
BROKERS = 3
EVERY_COPY = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
}
DISC = 90
"""Megabytes: enough for the topics of one bridge."""


async def in_sync(brokers: list[RealKafka]) -> None:
    """Wait until every partition has all its copies: only then may the next broker go."""

    async def behind() -> int:
        async with kafka_admin(",".join(one.bootstrap for one in brokers)) as admin:
            topics = await admin.describe_topics()
        return sum(len(part["isr"]) < BROKERS for topic in topics for part in topic["partitions"])

    async with asyncio.timeout(AWAY):
        while await behind():  # noqa: ASYNC110 - Kafka tells nobody
            await asyncio.sleep(0.2)


@ATTENDED
@pytest.mark.parametrize(("end", "how"), ENDS, ids=[how for _, how in ENDS])
async def test_three_brokers_one_by_one(
    end: End, how: str, web: RealWebServices, tmp_path: Path, record_property: Note
) -> None:
    """Each broker, a controller too, goes and comes back under load, and nothing is lost or doubled."""
    record_property(PART, f"Three brokers of Apache Kafka {suite_version('kafka')}, {how} one by one")
    require_real_parts()
    quorum = Quorum.of(BROKERS)
    brokers = [RealKafka(properties=EVERY_COPY, quorum=quorum, node=node + 1) for node in range(BROKERS)]
    async with AsyncExitStack() as stack:
        for broker in brokers:
            stack.push_async_callback(broker.stop)
        await asyncio.gather(*(broker.start() for broker in brokers))
        addresses = ",".join(broker.bootstrap for broker in brokers)
        site = await stack.enter_async_context(Site(brokers[0], web, tmp_path, bootstrap=addresses))
        bridge = await ready_bridge(site)
        opened = await first_session(site, bridge)
        async with site.load(rate=RATE):
            await bridge.kill()
            bridge = await ready_bridge(site)
            for broker in brokers:
                await in_sync(brokers)
                await end(broker)
                await broker.restart()
                await site.caught_up()
            await bridge.ready(within=AWAY)
        await forwards(site, bridge, opened)


@ATTENDED
async def test_full_disc(web: RealWebServices, tmp_path: Path, record_property: Note) -> None:
    """A broker that finds its disc full ends; with room, and started again, it has each event once."""
    record_property(PART, f"Apache Kafka {suite_version('kafka')} with a full disc")
    require_real_parts()
    disc = SmallDisc(DISC)
    try:
        await disc.start()
    except (StartFailed, OSError) as error:
        unavailable(record_property, f"no tmpfs can be mounted here ({str(error).splitlines()[-1]})")
    kafka = RealKafka(properties={"log.dirs": str(disc.path / "log")}, within=disc.within)
    async with disc, kafka, Site(kafka, web, tmp_path) as site:
        bridge = await ready_bridge(site)
        opened = await first_session(site, bridge)
        async with site.load(rate=RATE):
            disc.fill()
            await bridge.without("kafka", within=AWAY)
            await kafka.ended()
            await bridge.kill()
            disc.make_room()
            await kafka.restart()
            bridge = await ready_bridge(site)
            await site.caught_up()
        await forwards(site, bridge, opened)
