"""Reading a topic as a member of a consumer group, on a real Kafka."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError

from bridge.delivery import ConsumedRecord, GroupReader, existing_topics, group_reader
from bridge.settings import Kafka
from tests.real import KafkaServer, create_bridge_topics
from tests.waiting import eventually

TOPIC = "requests.v1"


class Group:
    """A topic with four partitions, and a group that reads it."""

    def __init__(self, settings: Kafka, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self._producer = producer
        self.let_go = 0

    async def send(self, *values: str) -> None:
        """Write records, each with its value as the key."""
        for value in values:
            await self._producer.send(f"{self.settings.topic_prefix}.{TOPIC}", value.encode(), key=value.encode())
        await self._producer.flush()

    def member(self) -> AbstractAsyncContextManager[GroupReader]:
        """A member that can join."""

        async def let_go() -> None:
            self.let_go += 1

        return group_reader(self.settings, TOPIC, f"{self.settings.topic_prefix}.requests", let_go)


@pytest_asyncio.fixture
async def group(real_kafka: KafkaServer) -> AsyncIterator[Group]:
    settings = Kafka(bootstrap_servers=real_kafka.bootstrap, topic_prefix=f"t{uuid.uuid4().hex[:12]}", partitions=4)
    await create_bridge_topics(settings, [TOPIC])
    async with AIOKafkaProducer(bootstrap_servers=real_kafka.bootstrap) as producer:
        yield Group(settings, producer)
    await real_kafka.delete_topics(settings.topic_prefix)


async def read(reader: GroupReader, count: int, room: int = 10) -> list[ConsumedRecord]:
    """Read so many records."""
    found: list[ConsumedRecord] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            found += await reader.poll(room)
    return found


def values(records: Sequence[ConsumedRecord]) -> set[str]:
    return {(one.value or b"").decode() for one in records}


async def test_what_is_not_done_is_read_again(group: Group) -> None:
    """A member that leaves has committed the records before the first one that is not done, in each partition."""
    await group.send(*map(str, range(40)))
    async with group.member() as first:
        records = await read(first, 40)
        open_ = dict.fromkeys(range(4), 5)
        for record in records:
            if record.offset != open_[record.partition]:
                first.done(record)
    again = [one for one in records if one.offset >= open_[one.partition]]
    async with group.member() as second:
        assert values(await read(second, len(again))) == values(again)
    assert group.let_go >= 2


async def test_paused_partitions(group: Group) -> None:
    """Without room the member goes on polling, gets nothing, stays in the group, and then reads all."""
    await group.send(*map(str, range(300)))
    async with group.member() as reader:
        await read(reader, 1, room=1)
        for _ in range(20):
            assert await reader.poll(0) == []
        assert reader.assignments == 1
        assert await reader.lag() == 300
        await read(reader, 299)
        assert reader.assignments == 1


async def test_a_second_member(group: Group) -> None:
    """A member that joins gets its share of the partitions, and the first one lets its records go before."""
    async with group.member() as first:
        await read_until_assigned(first)
        async with group.member() as second:
            joined = asyncio.ensure_future(read_until_assigned(second))
            await eventually(lambda: assigned_again(first))
            await joined
            await group.send(*map(str, range(100)))
            found: tuple[list[ConsumedRecord], list[ConsumedRecord]] = ([], [])
            async with asyncio.timeout(30):
                while len(found[0]) + len(found[1]) < 100:
                    found[0].extend(await first.poll(10))
                    found[1].extend(await second.poll(10))
        partitions = [{one.partition for one in records} for records in found]
        assert (len(partitions[0]), len(partitions[1]), partitions[0] & partitions[1]) == (2, 2, set())
    assert group.let_go >= 1


async def read_until_assigned(reader: GroupReader) -> None:
    async with asyncio.timeout(30):
        while not reader.assignments:
            assert await reader.poll(10) == []


async def assigned_again(reader: GroupReader) -> bool:
    assert await reader.poll(10) == []
    return reader.assignments > 1


async def test_a_missing_topic(group: Group) -> None:
    """A topic that is missing is an error at once, and is not created if the bridge creates no topics."""
    settings = group.settings.model_copy(update={"create_topics": False, "topic_prefix": f"{uuid.uuid4().hex[:12]}"})

    async def let_go() -> None:
        raise AssertionError("nothing was read")

    with pytest.raises(UnknownTopicOrPartitionError):
        async with group_reader(settings, TOPIC, "g", let_go):
            pass
    assert f"{settings.topic_prefix}.{TOPIC}" not in await existing_topics(settings)
