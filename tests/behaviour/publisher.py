"""What every publisher promises; inherited by the in-memory one and by the one for Kafka, on two brokers."""

import time
from typing import NamedTuple, Protocol

import pytest

from bridge.delivery import Position, Publisher, PublisherState
from bridge.delivery.client.partition import partition_of
from bridge.errors import Fenced
from bridge.events import TOPICS, Record

ACKNOWLEDGEMENTS, USER_EVENTS, DEAD_LETTERS = "acknowledgements.v1", "user-events.v1", "dead-letters.v1"


class Published(NamedTuple):
    """A record as a read_committed consumer sees it; `topic` without the prefix."""

    topic: str
    partition: int
    key: bytes
    value: bytes


class StatefulPublisher(Publisher, Protocol):
    """A publisher that says how it stands with Kafka."""

    state: PublisherState


class Cluster(Protocol):
    """A Kafka of the test's own."""

    too_large: int
    """Bytes of a value that the cluster refuses."""
    partitions: int | None
    """Of each topic, where the cluster has any."""

    def publisher(self, account: str = "alice", password: str = "secret") -> StatefulPublisher:
        """A new publisher, not started; stopped when the test ends."""

    async def published(self) -> list[Published]:
        """Everything that read_committed consumers see."""


def record(value: bytes, *, key: bytes = b"13/Campaign/1", topic: str = ACKNOWLEDGEMENTS) -> Record:
    headers = [("ce_id", b"0123456789abcdef-0"), ("ce_source", b"/web-services/alice"), ("ce_type", b"test")]
    return Record(topic, key, value, headers)


def numbered(first: int, count: int, *, keys: int = 7) -> list[Record]:
    return [record(b"%d" % n, key=b"13/Campaign/%d" % (n % keys)) for n in range(first, first + count)]


def position(next_sequence: int = 0, *, client_id: str = "client") -> Position:
    return Position(
        client_id=client_id,
        cookies={"JSESSIONID": "a", "BAYEUX_BROWSER": "b"},
        acknowledgement=next_sequence,
        base_sequence=next_sequence,
        next_sequence=next_sequence,
        last_reply_at=time.time(),
    )


def values(published: list[Published], topic: str) -> list[bytes]:
    return [one.value for one in published if one.topic == topic]


def in_order_within_keys(published: list[Published]) -> bool:
    """Whether the numbers that are the values rise within each key."""
    last: dict[bytes, int] = {}
    for one in published:
        if one.topic == ACKNOWLEDGEMENTS:
            if int(one.value) <= last.get(one.key, -1):
                return False
            last[one.key] = int(one.value)
    return True


class PublisherBehaviour:
    """Each rule once."""

    async def test_a_first_start_finds_no_position(self, cluster: Cluster) -> None:
        """An account that has never published has no position, and is connected."""
        publisher = cluster.publisher()
        assert await publisher.start() is None
        assert publisher.state.connected

    async def test_records_and_position_are_there_together(self, cluster: Cluster) -> None:
        """After publish() a consumer sees every record once, and a successor reads the position of that call."""
        publisher, last = cluster.publisher(), position(20)
        await publisher.start()
        await publisher.publish(numbered(0, 20), last)
        assert sorted(values(await cluster.published(), ACKNOWLEDGEMENTS)) == sorted(b"%d" % n for n in range(20))
        await publisher.stop()
        assert await cluster.publisher().start() == last

    async def test_the_newest_position_counts(self, cluster: Cluster) -> None:
        """Of many positions the last one is read, also when calls bring no records, and each account has its own."""
        alice, bob = cluster.publisher("alice"), cluster.publisher("bob")
        await alice.start()
        await bob.start()
        for n in range(5):
            await alice.publish([], position(n))
        newest, others = position(5), position(99, client_id="other")
        await alice.publish([], newest)
        await bob.publish([], others)
        assert await cluster.publisher("alice").start() == newest
        assert await cluster.publisher("bob").start() == others

    async def test_a_start_keeps_the_position(self, cluster: Cluster) -> None:
        """A bridge that starts and ends before its first event leaves the position to the next one."""
        first, last = cluster.publisher(), position(3)
        await first.start()
        await first.publish([], last)
        assert await cluster.publisher().start() == last
        assert await cluster.publisher().start() == last

    async def test_order_holds_within_a_key(self, cluster: Cluster) -> None:
        """Records of one key keep their order over many calls."""
        publisher = cluster.publisher()
        await publisher.start()
        for first in range(0, 300, 100):
            await publisher.publish(numbered(first, 100), position(first + 100))
        published = await cluster.published()
        assert len(values(published, ACKNOWLEDGEMENTS)) == 300
        assert in_order_within_keys(published)

    async def test_a_record_that_is_too_large_becomes_a_dead_letter(self, cluster: Cluster) -> None:
        """What Kafka refuses for itself goes to dead letters, and all else of the call is published in order."""
        publisher = cluster.publisher()
        await publisher.start()
        records = numbered(0, 50)
        records[17] = record(b"x" * cluster.too_large, key=b"13/Campaign/huge")
        await publisher.publish(records, position(50))
        published = await cluster.published()
        assert len(values(published, ACKNOWLEDGEMENTS)) == 49
        assert in_order_within_keys(published)
        [letter] = [one for one in published if one.topic == DEAD_LETTERS]
        assert letter.key == b"13/Campaign/huge"
        assert b"too-large" in letter.value

    async def test_one_key_has_one_partition_number_in_all_topics(self, cluster: Cluster) -> None:
        """The acknowledgement and the user event of a record land in partitions of the same number, Java's."""
        publisher = cluster.publisher()
        await publisher.start()
        keys = [b"13/Campaign/%d" % n for n in range(20)]
        records = [record(b"1", key=key, topic=topic) for key in keys for topic in (ACKNOWLEDGEMENTS, USER_EVENTS)]
        await publisher.publish(records, position(40))
        published = await cluster.published()
        assert len(published) == 40
        if cluster.partitions is not None:
            assert all(one.partition == partition_of(one.key, cluster.partitions) for one in published)

    async def test_every_event_topic_takes_records(self, cluster: Cluster) -> None:
        """Each topic of the contract can be published to in one call."""
        publisher = cluster.publisher()
        await publisher.start()
        await publisher.publish([record(b"1", topic=topic) for topic in TOPICS], position(1))
        assert {one.topic for one in await cluster.published()} == set(TOPICS)

    async def test_stop_leaves_the_position_and_says_so(self, cluster: Cluster) -> None:
        """After stop() the publisher is not connected, and a second stop() does no harm."""
        publisher = cluster.publisher()
        await publisher.start()
        await publisher.stop()
        await publisher.stop()
        assert not publisher.state.connected


class FencingBehaviour:
    """What the publishers promise where the broker fences (librdkafka's mock cluster does not)."""

    async def test_the_predecessor_is_fenced(self, cluster: Cluster) -> None:
        """When another bridge has started for the account, the older one can publish nothing any more."""
        older, younger = cluster.publisher(), cluster.publisher()
        await older.start()
        await older.publish([record(b"1")], position(1))
        await younger.start()
        for _ in range(2):
            with pytest.raises(Fenced):
                await older.publish([record(b"2")], position(2))
        assert not older.state.connected
        await younger.publish([record(b"3")], position(3))
        assert values(await cluster.published(), ACKNOWLEDGEMENTS) == [b"1", b"3"]

    async def test_a_successor_is_noticed_before_anything_is_published(self, cluster: Cluster) -> None:
        """The older bridge can ask, and hears that it is not the account's any more; the younger one that it is."""
        older, younger = cluster.publisher(), cluster.publisher()
        await older.start()
        await older.confirm()
        await younger.start()
        with pytest.raises(Fenced):
            await older.confirm()
        assert not older.state.connected
        await younger.confirm()
        await younger.publish([record(b"1")], position(1))
