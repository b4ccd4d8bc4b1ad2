"""A replica loses its connection to Kafka, to Web Services, or to both, and gets it back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fault_proxy import FaultProxy
from tests.faults.fleet.replicas import UNATTENDED, OneAccount, owner, replica_of, stands_by
from tests.faults.site import Site
from tests.faults.tcp_proxy import TcpProxy
from tests.real import RealKafka, RealWebServices


@dataclass
class CutOff(OneAccount):
    """Three replicas that share one account. The first one reaches Kafka and Web Services through proxies."""

    kafka: RealKafka
    to_kafka: TcpProxy
    to_web_services: FaultProxy


@pytest_asyncio.fixture
async def cut_off(web: RealWebServices, tmp_path: Path) -> AsyncIterator[CutOff]:
    """The first of the three replicas relays the account."""
    async with TcpProxy() as to_kafka, FaultProxy(web.url) as to_web_services:
        kafka = RealKafka(listeners={"PROXIED": "PLAINTEXT"}, advertised={"PROXIED": to_kafka.address})
        async with kafka, Site(kafka, web, tmp_path) as site:
            to_kafka.target = kafka.address("PROXIED")
            first = await replica_of(
                site, 0, KAFKA__BOOTSTRAP_SERVERS=to_kafka.address, WEB_SERVICES__URL=to_web_services.url
            )
            await first.ready(within=60)
            await owner([first])
            others = [await replica_of(site, number) for number in (1, 2)]
            await asyncio.gather(*(one.ready(within=60) for one in others))
            begun = await OneAccount.of(site, [first, *others])
            assert begun.first is first
            yield CutOff(**vars(begun), kafka=kafka, to_kafka=to_kafka, to_web_services=to_web_services)


@UNATTENDED
@pytest.mark.parametrize(
    ("both", "loaded"), [(False, False), (False, True), (True, False)], ids=["quiet", "loaded", "both-quiet"]
)
async def test_a_replica_that_is_cut_off_from_kafka(cut_off: CutOff, *, both: bool, loaded: bool) -> None:
    """Another replica takes the session over. The one that is cut off fights for no poll, and stands by afterwards.

    With `both` it is cut off from Web Services too, and reaches Web Services first again. Then it holds its first
    reply, and polls no more until it reaches Kafka.
    """
    first = cut_off.first
    async with cut_off.load() if loaded else nullcontext():
        await cut_off.to_kafka.cut()
        if both:
            await cut_off.to_web_services.stop()
        second = await owner(cut_off.others)
        if both:
            await cut_off.to_web_services.start()
        elif not loaded:
            await first.until(lambda: stands_by(first), within=20, what="standing by")
        if not loaded:
            await cut_off.site.ledger.publish(10)
        await cut_off.site.caught_up()
        cut_off.to_kafka.target = cut_off.kafka.address("PROXIED")
        await cut_off.back_to_standing_by(first)
        assert await owner(cut_off.replicas) is second
    assert cut_off.displaced() <= 4
    assert cut_off.takeovers() == 2
    await cut_off.unharmed()


@pytest.mark.parametrize(
    ("web", "changes"),
    [
        ({"timeout": 5.0}, ["opened", "lost", "gap", "opened"]),
        ({"timeout": 5.0, "max_interval": 60.0}, ["opened"]),
    ],
    indirect=["web"],
    ids=["the-session-is-lost", "the-session-lives"],
)
async def test_a_replica_that_is_cut_off_from_web_services_alone(site: Site, changes: list[str]) -> None:
    """It offers its slots after half a minute, and another replica relays the account. A gap tells of a loss."""
    async with FaultProxy(site.web.url) as way:
        first = await replica_of(site, 0, WEB_SERVICES__URL=way.url)
        await first.ready(within=60)
        second = await replica_of(site, 1)
        await second.ready(within=60)
        assert await owner([first, second]) is first
        await way.stop()
        assert await owner([second], within=60) is second
        await way.start()
        await first.ready(within=60)
        assert await stands_by(first)
    await site.ledger.publish(10)
    await site.caught_up()
    assert await second.handshakes() == changes.count("gap")
    assert (await site.settled()).changes == changes
