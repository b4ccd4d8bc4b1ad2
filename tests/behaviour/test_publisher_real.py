"""The Kafka publisher keeps its promises on a real Kafka, and through its outages."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka.admin import NewTopic

from bridge.delivery.client.batches import Batch
from bridge.delivery.client.producer import Producer
from bridge.delivery.slots.kafka_publisher import KafkaPublisher
from bridge.errors import Fenced
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.behaviour.publisher import (
    ACKNOWLEDGEMENTS,
    DEAD_LETTERS,
    FencingBehaviour,
    PublisherBehaviour,
    in_order_within_keys,
    numbered,
    position,
    record,
    values,
)
from tests.behaviour.publisher_on_kafka import KafkaPublisherBehaviour, next_producer
from tests.real import KafkaServer, RealKafka, kafka_admin
from tests.waiting import eventually

OUTAGE_DEADLINE = 90


@pytest_asyncio.fixture
async def cluster(kafka_server: KafkaServer) -> AsyncIterator[KafkaCluster]:
    cluster = KafkaCluster(kafka_server.bootstrap)
    cluster.too_large = 2 << 20  # the broker's own limit is 1 MiB
    yield cluster
    await cluster.stop()
    await kafka_server.delete_topics(cluster.settings.topic_prefix)


async def publish_turns(publisher: KafkaPublisher, turns: int, done: list[int], *, size: int = 200) -> None:
    for turn in range(turns):
        await publisher.publish(numbered(turn * size, size), position((turn + 1) * size))
        done.append(turn)


async def assert_all_once(cluster: KafkaCluster, count: int) -> None:
    published = await cluster.published()
    assert sorted(map(int, values(published, ACKNOWLEDGEMENTS))) == list(range(count))
    assert in_order_within_keys(published)


class TestKafkaPublisherOnRealKafka(PublisherBehaviour, FencingBehaviour, KafkaPublisherBehaviour):
    async def test_a_producer_replaced_in_mid_transaction_repeats_nothing(self, cluster: KafkaCluster) -> None:
        """Records of an aborted attempt are invisible to read_committed, those of the next attempt are there once.

        The position is the same as before the call, which must not be taken for a commit.
        """
        publisher, same = cluster.publisher(), position(100)
        await publisher.start()
        await publisher.publish([], same)
        producer = next_producer(publisher)

        async def fail() -> None:
            raise TimeoutError

        producer.commit = fail  # type: ignore[method-assign]
        await publisher.publish(numbered(0, 100), same)
        await assert_all_once(cluster, 100)
        assert len(values(await cluster.published("read_uncommitted"), ACKNOWLEDGEMENTS)) == 200

    async def test_a_predecessors_open_transaction_is_settled(self, cluster: KafkaCluster) -> None:
        """What a killed bridge had sent without commit is never seen, and its successor starts without waiting."""
        publisher, last = cluster.publisher(), position(1)
        await publisher.start()
        await publisher.publish([record(b"1")], last)
        killed = next_producer(publisher)
        await killed.begin()
        name = f"{cluster.settings.topic_prefix}.{ACKNOWLEDGEMENTS}"
        await asyncio.gather(*await killed.send(name, Batch(ACKNOWLEDGEMENTS, 0, [record(b"2")]), 0))
        successor = cluster.publisher()
        assert await successor.start() == last
        await successor.publish([record(b"3")], position(3))
        assert values(await cluster.published(), ACKNOWLEDGEMENTS) == [b"1", b"3"]

    async def test_a_strangers_open_transaction_hides_no_position(self, cluster: KafkaCluster) -> None:
        """A start waits for the positions that the open transaction of another transactional id hides."""
        publisher = cluster.publisher()
        await publisher.start()
        await publisher.publish([], position(1))
        assert publisher._slot is not None
        stranger = Producer(cluster.settings, f"{cluster.settings.topic_prefix}.stranger")
        await stranger.start()
        await stranger.begin()
        name = f"{cluster.settings.topic_prefix}.bridge-state"
        foreign = Batch("bridge-state", publisher._slot.number, [record(b"{}", key=b"stranger")])
        await asyncio.gather(*await stranger.send(name, foreign, 0))
        newest = position(2)
        await publisher.publish([], newest)
        successor = cluster.publisher()
        async with asyncio.timeout(OUTAGE_DEADLINE), asyncio.TaskGroup() as group:
            starting = group.create_task(successor.start())
            await eventually(lambda: "open transaction" in (successor.state.reason or ""), within=OUTAGE_DEADLINE)
            await stranger.commit()
        await stranger.discard()
        assert starting.result() == newest

    async def test_of_two_that_start_at_once_one_remains(self, cluster: KafkaCluster) -> None:
        """Two bridges started for one account at the same time: one publishes on, the other is fenced."""
        both = [cluster.publisher(), cluster.publisher()]
        started = await asyncio.gather(*(one.start() for one in both), return_exceptions=True)
        fenced = []
        for n, one in enumerate(both):
            try:
                if isinstance(failure := started[n], BaseException):
                    raise failure
                await one.publish([record(b"%d" % n)], position(n))
            except Fenced:
                fenced.append(n)
        assert len(fenced) == 1
        assert values(await cluster.published(), ACKNOWLEDGEMENTS) == [b"%d" % (1 - fenced[0])]

    async def test_a_kill_and_restart_loses_and_repeats_nothing(
        self, cluster: KafkaCluster, own_kafka: RealKafka
    ) -> None:
        """Kafka killed in the middle of publishing and started again: publish() returns, each record is there once."""
        publisher, done = cluster.publisher(), list[int]()
        await publisher.start()
        async with asyncio.timeout(OUTAGE_DEADLINE), asyncio.TaskGroup() as group:
            group.create_task(publish_turns(publisher, 60, done))
            await eventually(lambda: len(done) >= 10, within=OUTAGE_DEADLINE)
            await own_kafka.kill()
            await eventually(lambda: not publisher.state.connected, within=OUTAGE_DEADLINE)
            await own_kafka.restart()
        assert publisher.state.connected
        await assert_all_once(cluster, 60 * 200)

    async def test_a_hung_broker_loses_and_repeats_nothing(self, cluster: KafkaCluster, own_kafka: RealKafka) -> None:
        """Kafka that hangs for twice the deadline delays publish(), and each record is there once."""
        publisher, done = cluster.publisher(request_timeout=1.5), list[int]()
        await publisher.start()
        async with asyncio.timeout(OUTAGE_DEADLINE), asyncio.TaskGroup() as group:
            group.create_task(publish_turns(publisher, 40, done))
            await eventually(lambda: len(done) >= 10, within=OUTAGE_DEADLINE)
            await own_kafka.pause()
            await asyncio.sleep(3)  # the length of the outage, not a synchronisation
            assert len(done) < 40
            await own_kafka.resume()
        await assert_all_once(cluster, 40 * 200)

    async def test_stop_is_quick_while_kafka_hangs(self, cluster: KafkaCluster, own_kafka: RealKafka) -> None:
        """stop() returns within a few seconds while a publish is stuck, and nothing of the producer runs on."""
        before = asyncio.all_tasks()
        publisher = cluster.publisher()
        await publisher.start()
        await own_kafka.pause()
        try:
            publishing = asyncio.ensure_future(publisher.publish(numbered(0, 100), position(1)))
            await asyncio.wait({publishing}, timeout=0.3)
            publishing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await publishing
            async with asyncio.timeout(5):
                await publisher.stop()
            assert asyncio.all_tasks() <= before
        finally:
            await own_kafka.resume()

    async def test_a_deleted_topic_comes_back(self, cluster: KafkaCluster) -> None:
        """A topic that is deleted while the bridge runs is created again, and the flow goes on."""
        publisher = cluster.publisher()
        await publisher.start()
        await publisher.publish([record(b"1")], position(1))
        async with kafka_admin(cluster.settings.bootstrap_servers) as admin:
            await admin.delete_topics([f"{cluster.settings.topic_prefix}.{ACKNOWLEDGEMENTS}"])
        async with asyncio.timeout(OUTAGE_DEADLINE):
            await publisher.publish([record(b"2")], position(2))
        assert values(await cluster.published(), ACKNOWLEDGEMENTS) == [b"2"]

    async def test_a_topic_that_takes_less_gets_smaller_batches(self, cluster: KafkaCluster) -> None:
        """Many records that are too large together are all published; the one too large alone is a dead letter."""
        name = f"{cluster.settings.topic_prefix}.{ACKNOWLEDGEMENTS}"
        async with kafka_admin(cluster.settings.bootstrap_servers) as admin:
            await admin.create_topics([NewTopic(name, 2, 1, topic_configs={"max.message.bytes": "100000"})])
        publisher = cluster.publisher()
        await publisher.start()
        pad = b"0" * 4000
        records = [record(pad + b"%d" % n, key=b"%d" % (n % 5)) for n in range(300)]
        records[40] = record(b"x" * 200_000)
        await publisher.publish(records, position(300))
        producer = next_producer(publisher)
        await publisher.publish(records[100:300], position(300))
        published = await cluster.published()
        assert len(values(published, ACKNOWLEDGEMENTS)) == 299 + 200
        assert len(values(published, DEAD_LETTERS)) == 1
        assert publisher._slot is not None
        assert producer in publisher._slot._producers._producers, (
            "the second call was refused again: nothing was learnt"
        )
