"""The ledger keeps its promises on a real Kafka, and through its outages."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from bridge.delivery import KafkaLedger, Ledger
from bridge.delivery.ledger import follower
from bridge.errors import KafkaUnavailable
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.behaviour.ledger import TOPIC, LedgerBehaviour, Reader, following, record
from tests.real import KafkaServer, RealKafka, create_bridge_topics, kafka_admin
from tests.waiting import eventually

PLACED = ("acknowledgements.v1",)


@pytest_asyncio.fixture
async def cluster(kafka_server: KafkaServer) -> AsyncIterator[KafkaCluster]:
    cluster = KafkaCluster(kafka_server.bootstrap, partitions=3)
    yield cluster
    await cluster.stop()
    await kafka_server.delete_topics(cluster.settings.topic_prefix)


class TestLedgerOnRealKafka(LedgerBehaviour):
    """On Apache Kafka."""

    @pytest_asyncio.fixture
    async def ledgers(self, cluster: KafkaCluster) -> AsyncIterator[list[KafkaLedger]]:
        ledgers = [KafkaLedger(cluster.settings, TOPIC, PLACED) for _ in range(2)]
        yield ledgers
        for one in ledgers:
            await one.stop()

    async def test_outage(self, ledgers: list[Ledger], own_kafka: RealKafka) -> None:
        """While Kafka is down an append fails within its deadline; afterwards both sides go on, nothing comes twice."""
        writer, other = ledgers
        await writer.append([record("before")])
        async with following(other) as reader:
            await own_kafka.kill()
            try:
                async with asyncio.timeout(10):
                    with pytest.raises(KafkaUnavailable):
                        await writer.append([record("during")])
            finally:
                await own_kafka.restart()
            await writer.append([record("after")])
            await eventually(lambda: "after" in reader.values, within=60)
            assert reader.values.count("before") == reader.values.count("after") == 1

    async def test_missing_topic_has_nothing_to_wait_for(self, cluster: KafkaCluster) -> None:
        """A topic that is not there holds nobody up; once it is there, what it holds is read."""
        settings = cluster.settings.model_copy(update={"create_topics": False})
        async with following(KafkaLedger(settings, "appears-late")) as reader:
            assert reader.values == []
            async with kafka_admin(settings.bootstrap_servers) as admin:
                await admin.create_topics([NewTopic(f"{settings.topic_prefix}.appears-late", 1, 1)])
            writer = KafkaLedger(cluster.settings, TOPIC)
            await writer.append([record("a", topic="appears-late")])
            await eventually(lambda: reader.values == ["a"], within=20)
            await writer.stop()

    async def test_a_start_waits_for_no_fetch(
        self, ledgers: list[KafkaLedger], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Reading the topic to its end does not wait until the broker has enough bytes for a large fetch."""
        wait = 8.0
        monkeypatch.setattr(follower, "POLL_MS", round(wait * 1000))
        await ledgers[0].append([record("a")])
        reader = Reader()
        task = asyncio.create_task(ledgers[1].follow(reader.take, reader.caught_up))
        await eventually(lambda: reader.at_the_end == ["a"], within=wait - 1)
        task.cancel()
        await asyncio.wait([task])

    async def test_a_prompt_follower_waits_for_no_other_records(
        self, cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A replica of a fleet gets each record at once, also if it is small and the fetch could wait for more."""
        wait = 8.0
        monkeypatch.setattr(follower, "POLL_MS", round(wait * 1000))
        ledger = KafkaLedger(cluster.settings, TOPIC, prompt=True)
        await ledger.append([record("a")])
        async with following(ledger) as reader:
            for value in ("b", "c"):
                await ledger.append([record(value)])
                await eventually(lambda value=value: reader.values[-1] == value, within=wait / 4)  # type: ignore[misc]
        await ledger.stop()

    async def test_what_is_too_old_is_left_out(self, cluster: KafkaCluster) -> None:
        """With an age a start passes over what is older, except in a partition where all is: that is read whole."""
        await create_bridge_topics(cluster.settings)
        name = f"{cluster.settings.topic_prefix}.{TOPIC}"
        now = time.time_ns() // 1_000_000
        async with AIOKafkaProducer(bootstrap_servers=cluster.settings.bootstrap_servers) as producer:
            for number in range(10):
                key, old = b"%d" % number, now - 3_600_000
                await producer.send_and_wait(name, b"old", key, partition=number % 2, timestamp_ms=old)
            await producer.send_and_wait(name, b"young", b"k", partition=0, timestamp_ms=now - 1000)
            ledger = KafkaLedger(cluster.settings, TOPIC, age=60)
            async with following(ledger) as reader:
                assert sorted(reader.at_the_end or ()) == [*["old"] * 5, "young"]
                for partition in range(3):
                    await producer.send_and_wait(name, b"new", b"k", partition=partition)
                await eventually(lambda: sorted(reader.values) == [*["new"] * 3, *["old"] * 5, "young"])
            await ledger.stop()

    async def test_oversized_record_becomes_a_dead_letter(self, ledgers: list[Ledger], cluster: KafkaCluster) -> None:
        """A record that Kafka refuses for itself does not hold the others up: its dead letter takes its place."""
        writer, other = ledgers
        await writer.append([record("a"), record("x" * (2 << 20)), record("b")])
        async with following(other) as reader:
            # At least once: what shared a request with it may have come before.
            assert list(dict.fromkeys(value for value in reader.values if len(value) == 1)) == ["a", "b"]
        letters = [one for one in await cluster.published() if one.topic == "dead-letters.v1"]
        assert len(letters) == 1
