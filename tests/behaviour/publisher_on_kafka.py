"""What the Kafka publisher promises besides, on any broker."""

import asyncio
import time

import pytest
from aiokafka.errors import KafkaConnectionError

from bridge.delivery.position_reader import newest_value
from bridge.settings import Delivery
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.behaviour.publisher import ACKNOWLEDGEMENTS, numbered, position, record, values


class KafkaPublisherBehaviour:
    async def test_another_password_finds_no_session(self, cluster: KafkaCluster) -> None:
        """With a changed password there is no session to resume, but the time that the gap starts from."""
        first, before = cluster.publisher(password="old"), position(1)
        await first.start()
        await first.publish([], before)
        second, last = cluster.publisher(password="new"), position(2)
        found = await second.start()
        assert found is not None
        assert (found.client_id, found.cookies) == ("", {})
        assert found.last_reply_at == before.last_reply_at
        await second.publish([], last)
        assert await cluster.publisher(password="new").start() == last

    async def test_a_damaged_position_tells_when_it_was_written(self, cluster: KafkaCluster) -> None:
        """What can't be read is no session to resume; it was written before any gap, so one starts there."""
        first = cluster.publisher()
        await first.start()
        await first.publish([], position(1))
        await first.stop()
        before = time.time()
        await cluster.put_position("alice", b"{")
        successor = cluster.publisher()
        found = await successor.start()
        assert found is not None
        assert (found.client_id, found.next_sequence) == ("", 0)
        assert before - 1 <= found.last_reply_at <= time.time()
        await successor.stop()
        again = await cluster.publisher().start()
        assert again is not None
        assert again.last_reply_at == found.last_reply_at

    async def test_a_position_deep_in_the_topic_is_found(self, cluster: KafkaCluster) -> None:
        """An account's position is found behind more than one look's worth of another's in the same partition."""
        quiet, busy, last = cluster.publisher("quiet"), cluster.publisher("busy"), position(1)
        await quiet.start()
        await quiet.publish([], last)
        await busy.start()
        for n in range(40):
            await busy.publish([], position(n))
        assert await cluster.publisher("quiet").start() == last

    async def test_a_commit_whose_reply_is_lost_is_not_repeated(self, cluster: KafkaCluster) -> None:
        """When the transaction was committed but its reply never came, nothing is published again.

        The position is the same as before the call, so that only the number of the call can tell.
        """
        publisher, same = cluster.publisher(), position(1)
        await publisher.start()
        await publisher.publish([], same)
        producer = publisher._producer
        assert producer is not None
        commit = producer.commit

        async def commit_and_lose_the_reply() -> None:
            await commit()
            producer.committing = True
            raise KafkaConnectionError

        producer.commit = commit_and_lose_the_reply  # type: ignore[method-assign]
        await publisher.publish([record(b"1")], same)
        assert publisher._producer is not producer
        await publisher.publish([record(b"2")], same)
        assert values(await cluster.published(), ACKNOWLEDGEMENTS) == [b"1", b"2"]

    async def test_a_cancelled_publish_leaves_a_usable_publisher(self, cluster: KafkaCluster) -> None:
        """A publish() that is cancelled in the middle neither blocks the next one nor stop()."""
        publisher = cluster.publisher()
        await publisher.start()
        publishing = asyncio.ensure_future(publisher.publish(numbered(0, 500), position(1)))
        await asyncio.sleep(0)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        await publisher.publish([record(b"after")], position(2))
        assert values(await cluster.published(), ACKNOWLEDGEMENTS).count(b"after") == 1

    async def test_at_least_once_publishes_all(self, cluster: KafkaCluster) -> None:
        """Without transactions records and position arrive just the same."""
        publisher, last = cluster.publisher(delivery=Delivery.AT_LEAST_ONCE), position(5)
        await publisher.start()
        await publisher.publish(numbered(0, 100), last)
        assert len(set(values(await cluster.published(), ACKNOWLEDGEMENTS))) == 100
        await publisher.stop()
        assert await cluster.publisher().start() == last

    async def test_the_topic_gives_no_secret_away(self, cluster: KafkaCluster) -> None:
        """Neither the clientId nor a cookie can be read from the position topic."""
        publisher = cluster.publisher()
        await publisher.start()
        await publisher.publish([], position(1, client_id="the-client-id"))
        newest = await newest_value(cluster.settings, "alice", publisher._position_partition, settled=True)
        assert newest is not None
        value = newest.value
        assert b"nextSequence" in value
        assert b"the-client-id" not in value
        assert b"JSESSIONID" not in value

    async def test_no_task_is_left_behind(self, cluster: KafkaCluster) -> None:
        """After stop() nothing of the producer runs on, even when it was stopped in mid-transaction."""
        before = asyncio.all_tasks()
        publisher = cluster.publisher()
        await publisher.start()
        producer = publisher._producer
        assert producer is not None
        await producer.begin()
        await publisher.stop()
        assert asyncio.all_tasks() <= before
