"""The in-memory publisher keeps the promises of all publishers."""

import asyncio

import pytest

from tests.behaviour.publisher import FencingBehaviour, Published, PublisherBehaviour, position, record
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.waiting import eventually


class MemoryCluster:
    too_large = 2 << 20
    partitions = None

    def __init__(self) -> None:
        self.kafka = MemoryKafka()

    def publisher(self, account: str = "alice", password: str = "secret") -> MemoryPublisher:
        del password
        return MemoryPublisher(self.kafka, account)

    async def published(self) -> list[Published]:
        return [Published(one.topic, 0, one.key, one.value) for one in self.kafka.records]


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


class TestMemoryPublisher(PublisherBehaviour, FencingBehaviour):
    async def test_publish_waits_until_kafka_is_available(self, cluster: MemoryCluster) -> None:
        """While Kafka is away publish() waits and the state says why; then it goes on by itself."""
        publisher = cluster.publisher()
        await publisher.start()
        cluster.kafka.available.clear()
        async with asyncio.TaskGroup() as group:
            publishing = group.create_task(publisher.publish([record(b"1")], position(1)))
            await eventually(lambda: not publisher.state.connected)
            assert publisher.state.reason == "kafka unreachable"
            assert not publishing.done()
            assert cluster.kafka.records == []
            cluster.kafka.available.set()
        assert len(cluster.kafka.records) == 1
        assert publisher.state.connected
