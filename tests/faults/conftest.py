"""Fixtures of the fault suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.admin import NewTopic

from tests.faults.site import USERS, Site
from tests.faults.tcp_proxy import TcpProxy
from tests.real import KafkaServer, Quorum, RealKafka, RealWebServices, kafka_admin, require_real_parts
from tests.real.fixtures import WebServicesServers


@pytest_asyncio.fixture
async def web(web_services_servers: WebServicesServers, request: pytest.FixtureRequest) -> RealWebServices:
    """A Web Services server for one scenario; parametrize it indirectly with a dict of options for `start`."""
    return await web_services_servers.get(**({"users": USERS} | getattr(request, "param", {})))


@pytest_asyncio.fixture
async def site(kafka_server: KafkaServer, web: RealWebServices, tmp_path: Path) -> AsyncIterator[Site]:
    """One scenario's place, on the Kafka of this process, or on `own_kafka`."""
    async with Site(kafka_server, web, tmp_path) as place:
        yield place


@pytest_asyncio.fixture(scope="session")
async def kafka_behind_proxy() -> AsyncIterator[tuple[RealKafka, TcpProxy]]:
    """A Kafka that advertises the address of a proxy: every client's connections go through it."""
    require_real_parts()
    async with (
        TcpProxy() as proxy,
        RealKafka(properties={"advertised.listeners": f"PLAINTEXT://{proxy.address}"}) as kafka,
    ):
        proxy.target = kafka.bootstrap
        yield kafka, proxy


@pytest_asyncio.fixture
async def proxied(
    kafka_behind_proxy: tuple[RealKafka, TcpProxy], web: RealWebServices, tmp_path: Path
) -> AsyncIterator[tuple[Site, TcpProxy]]:
    """One scenario's place, with a proxy between the bridge and Kafka."""
    kafka, proxy = kafka_behind_proxy
    async with Site(kafka, web, tmp_path) as place:
        yield place, proxy


@pytest_asyncio.fixture
async def two_brokers(web: RealWebServices, tmp_path: Path) -> AsyncIterator[tuple[Site, RealKafka]]:
    """One scenario's place on a Kafka of two brokers, and the second of them.

    The second one leads every partition that it can: it coordinates all transactions and groups while it is there.
    """
    properties = {"default.replication.factor": "2", "leader.imbalance.check.interval.seconds": "1"}
    quorum = Quorum.of(1)
    async with (
        RealKafka(properties=properties, quorum=quorum) as first,
        RealKafka(properties=properties, quorum=quorum, node=2) as second,
        Site(first, web, tmp_path) as place,
    ):
        leaders = {partition: [2, 1] for partition in range(4)}
        compacted = {"cleanup.policy": "compact"}
        logs = [
            NewTopic(name, -1, -1, replica_assignments=leaders, topic_configs=compacted)
            for name in ("__transaction_state", "__consumer_offsets")
        ]
        async with kafka_admin(first.bootstrap) as admin:
            await admin.create_topics(logs)
        yield place, second
