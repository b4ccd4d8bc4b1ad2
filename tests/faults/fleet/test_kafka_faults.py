"""Kafka is away from the whole fleet, the group's coordinator moves, or all replicas start at the same time."""

import asyncio
from pathlib import Path

from tests.faults.coordinators import CoordinationType, coordinator
from tests.faults.fleet.replicas import UNATTENDED, UNATTENDED_TWICE, OneAccount, owner, start
from tests.faults.site import Site, killed
from tests.real import RealKafka, RealWebServices


@UNATTENDED
async def test_kafka_is_away_from_all(own_kafka: RealKafka, three: OneAccount) -> None:
    """While Kafka is gone the owner keeps its session alive, however long that takes; then the fleet goes on."""
    async with three.load():
        async with killed(own_kafka):
            await asyncio.sleep(25)
        await asyncio.gather(*(one.ready(within=60) for one in three.replicas))
        await owner(three.replicas)
        await three.site.caught_up()
    await three.unharmed()


@UNATTENDED
async def test_the_groups_coordinator_moves(two_brokers: tuple[Site, RealKafka]) -> None:
    """Its broker dies, and another one coordinates the group; then it is back, and is made the coordinator again."""
    site, second = two_brokers
    three = await OneAccount.of(site, await start(site))

    async def moved_to(broker: int) -> None:
        async with asyncio.timeout(40):
            while await coordinator(site, f"{site.prefix}.fleet", CoordinationType.GROUP) != broker:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await site.caught_up()
        await asyncio.gather(*(one.ready() for one in three.replicas))

    async with three.load():
        await moved_to(2)
        await second.kill()
        await moved_to(1)
        await second.restart()
        await moved_to(2)
        await owner(three.replicas)
    assert three.takeovers() <= 3
    await three.unharmed()


@UNATTENDED_TWICE
async def test_all_replicas_start_at_once(web: RealWebServices, tmp_path: Path) -> None:
    """All start at once on a Kafka without topics. All are killed, and started at once again: the session lives on."""
    async with RealKafka() as kafka, Site(kafka, web, tmp_path) as site:
        three = await OneAccount.of(site, await start(site))
        async with three.load():
            await asyncio.gather(*(one.kill() for one in three.replicas))
            three.replicas = await start(site)
            await owner(three.replicas)
            await site.caught_up()
        assert three.takeovers() <= 4
        await three.unharmed()
