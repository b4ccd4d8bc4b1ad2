"""Reads parts of topics: chosen partitions, from one time to another. Used to search for evidence.

The search joins no consumer group and creates no topic.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import NoError, UnknownTopicOrPartitionError, for_code

from bridge.delivery.client.aiokafka_internals.metadata import topic_metadata
from bridge.delivery.client.connection import closed, connection
from bridge.delivery.client.consumer import consumer
from bridge.delivery.client.failures import guarded
from bridge.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence

    from bridge.delivery.client.records import ConsumedRecord
    from bridge.settings import Kafka

POLL_MS: Final = 200
STANDSTILL: Final = 5.0
"""Seconds without a record after which a reader asks why. An open transaction may hide the end of a partition."""
_ANY_TIME: Final = 0


class Period(NamedTuple):
    """A period, in ms since the epoch. If an end of the period is None, the period has no limit there."""

    since: int | None
    until: int | None


ALWAYS: Final = Period(None, None)


@dataclass(frozen=True, slots=True)
class PartitionRange:
    """The offsets `start` to `end` (exclusive) of a partition. `topic` is the full name."""

    topic: str
    partition: int
    partitions: int
    """How many partitions the topic has."""
    first: int
    """The oldest offset that Kafka still has."""
    start: int
    end: int

    @property
    def place(self) -> TopicPartition:
        """The partition, as aiokafka names it."""
        return TopicPartition(self.topic, self.partition)

    def shortened(self, most: int) -> PartitionRange:
        """Return the range with its first `most` offsets only."""
        return replace(self, end=min(self.end, self.start + most))


async def partition_counts(settings: Kafka, topics: Sequence[str]) -> dict[str, int]:
    """Return how many partitions each topic has. A topic that does not exist is missing in the result.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached, or does not permit it.
    """
    client: AIOKafkaClient = guarded(AIOKafkaClient(**connection(settings)))
    try:
        async with asyncio.timeout(settings.request_timeout):
            await client.bootstrap()
            answer = await topic_metadata(client, topics, create=False)
    finally:
        await closed(client.close())
    counts = {}
    for topic in answer["topics"]:
        error = for_code(topic["error_code"])
        if error is NoError:
            counts[topic["topic"]] = len(topic["partitions"])
        elif error is not UnknownTopicOrPartitionError:
            raise error(topic["topic"])
    return counts


async def ranges_of(
    settings: Kafka, counts: Mapping[str, int], periods: Mapping[str, Period] | None = None
) -> list[PartitionRange]:
    """Return the ranges of all partitions of the topics in `counts`.

    A range begins with the first record in the topic's period, and ends before the first record after the period. If
    the period has no end, the range reaches to the present end, and includes transactions that are still open.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached or read.
    """
    places = [TopicPartition(topic, partition) for topic, count in counts.items() for partition in range(count)]
    if not places:
        return []
    period = (periods or {}).get
    since = {place: at for place in places if (at := period(place.topic, ALWAYS).since) is not None}
    until = {place: at + 1 for place in places if (at := period(place.topic, ALWAYS).until) is not None}
    async with consumer(settings, [], "read_uncommitted", wait_ms=0) as client:
        client.assign(places)
        client.pause(*places)
        first = await client.beginning_offsets(places)
        ends = await client.end_offsets(places)
        starts = first | await _offsets_at(client, since, unknown=first, ends=ends)
        stops = ends | await _offsets_at(client, until, unknown=ends, ends=ends)
        return [
            PartitionRange(place.topic, place.partition, counts[place.topic], first[place], starts[place], stops[place])
            for place in places
        ]


async def _offsets_at(
    client: Any,
    times: Mapping[TopicPartition, int],
    *,
    unknown: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int]:
    """Return for each partition the offset of the first record at or after the time in `times`.

    If a partition has no such record, return its end. librdkafka's mock cluster can't search by time, and answers for
    every time that there is no record. Then return the offset in `unknown`.
    """
    if not times:
        return {}
    found = await client.offsets_for_times({place: max(0, time) for place, time in times.items()})
    missing = [place for place, at in found.items() if at is None]
    any_time = await client.offsets_for_times(dict.fromkeys(missing, _ANY_TIME)) if missing else {}
    return {
        place: at.offset if at is not None else unknown[place] if any_time[place] is None else ends[place]
        for place, at in found.items()
    }


class RangeReader:
    """Reads ranges. `done` is the number of offsets that it has read so far. `total` is the number in all ranges."""

    def __init__(self, settings: Kafka, ranges: Sequence[PartitionRange]) -> None:
        self._settings = settings
        self._ranges = {one.place: one for one in ranges if one.start < one.end}
        self._reached = {place: one.start for place, one in self._ranges.items()}
        self._read = dict.fromkeys(self._ranges, 0)
        self.total = sum(one.end - one.start for one in self._ranges.values())

    @property
    def done(self) -> int:
        """The number of offsets that the reader has read so far."""
        return sum(self._reached[place] - one.start for place, one in self._ranges.items())

    def read(self, place: TopicPartition) -> int:
        """Return how many committed records of the partition were read."""
        return self._read.get(place, 0)

    def reached(self, one: PartitionRange) -> PartitionRange:
        """Return the part of the range that was read. It is shorter if an open transaction hides the end."""
        return replace(one, end=self._reached.get(one.place, one.end))

    async def records(
        self, keep: Callable[[str, bytes | None, bytes | None], bool], progress: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[ConsumedRecord, None]:
        """Yield the committed records for which `keep(topic, key, value)` is true, in order within each partition.

        `progress` is called after each fetch. Close the iterator (`contextlib.aclosing`).

        Raises:
            KafkaUnavailable: Kafka stopped answering.
            aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached or read.
        """
        if not self._ranges:
            return
        left = set(self._ranges)
        loop = asyncio.get_running_loop()
        async with consumer(self._settings, [], "read_committed", wait_ms=POLL_MS) as client:
            client.assign(list(left))
            for place in left:
                client.seek(place, self._ranges[place].start)
            moved_at = loop.time()
            while left:
                fetched = await client.getmany(*left, timeout_ms=POLL_MS)
                for place, records in fetched.items():
                    end = self._ranges[place].end
                    if records[-1].offset >= end:
                        records = [record for record in records if record.offset < end]  # noqa: PLW2901
                    self._read[place] += len(records)
                    for record in records:
                        if keep(record.topic, record.key, record.value):
                            yield record
                if await self._moved(client, left):
                    moved_at = loop.time()
                elif loop.time() - moved_at > STANDSTILL:
                    await self._explain(client, left)
                    return
                progress()

    async def _moved(self, client: Any, left: set[TopicPartition]) -> bool:
        """Store how far each partition is read, and remove those that are read to their end."""
        moved = False
        for place in tuple(left):
            end = self._ranges[place].end
            at = min(end, await client.position(place))
            moved |= at > self._reached[place]
            self._reached[place] = at
            if at >= end:
                left.remove(place)
                client.pause(place)
        return moved

    async def _explain(self, client: Any, left: set[TopicPartition]) -> None:
        """Find out why no record arrives. Return normally if open transactions hide the rest of all partitions.

        Raises:
            KafkaUnavailable: there is more to read, so Kafka has stopped answering.
        """
        async with asyncio.timeout(self._settings.request_timeout):
            stable = await client.end_offsets(list(left))
        if any(self._reached[place] < stable[place] for place in left):
            raise KafkaUnavailable("Kafka has stopped answering while its records were read.")


async def records_at(
    settings: Kafka, offsets: Mapping[TopicPartition, Collection[int]], progress: Callable[[], None] = lambda: None
) -> dict[tuple[str, int, int], ConsumedRecord]:
    """Return the committed records at single offsets, by topic, partition and offset. Missing records are left out.

    `progress` is called after each record.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached or read.
    """
    counts = await partition_counts(settings, sorted({place.topic for place in offsets}))
    places = [place for place in offsets if place.partition < counts.get(place.topic, 0)]
    found: dict[tuple[str, int, int], ConsumedRecord] = {}
    if not places:
        return found
    async with consumer(settings, [], "read_committed", wait_ms=POLL_MS) as client:
        client.assign(places)
        client.pause(*places)
        ends = await client.end_offsets(places)
        firsts = await client.beginning_offsets(places)
        for place in places:
            client.resume(place)
            for offset in sorted(offsets[place]):
                if firsts[place] <= offset < ends[place]:
                    async with asyncio.timeout(settings.request_timeout):
                        record = await _record_at(client, place, offset)
                    if record is not None:
                        found[place.topic, place.partition, offset] = record
                progress()
            client.pause(place)
    return found


async def _record_at(client: Any, place: TopicPartition, offset: int) -> ConsumedRecord | None:
    client.seek(place, offset)
    while await client.position(place) <= offset:
        fetched = await client.getmany(place, timeout_ms=POLL_MS, max_records=1)
        for record in fetched.get(place, ()):
            return record if record.offset == offset else None
    return None
