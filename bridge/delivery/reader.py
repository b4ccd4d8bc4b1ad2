"""Reads published events back, for commands and tests."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush, merge
from typing import TYPE_CHECKING, Any, Final

from bridge.delivery.client.consumer import Isolation, consumer, last_offsets, offsets_since, unread
from bridge.delivery.client.topics import topic_names

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer, TopicPartition

    from bridge.delivery.client.records import ConsumedRecord
    from bridge.settings import Kafka

POLL_MS: Final = 200
MOST_WAITING: Final = 5_000
"""Limit for the records of a partition that wait for older records of other partitions. Then the partition pauses."""


async def read(
    settings: Kafka,
    topics: Sequence[str] | None = None,
    *,
    isolation: Isolation = "read_committed",
    from_beginning: bool = False,
    since: float | None = None,
    until_end: bool = False,
) -> AsyncGenerator[ConsumedRecord, None]:
    """Yield the records of `topics` (full names; None: all event topics), without a consumer group.

    `from_beginning` begins with the first record. `since` (in seconds since the epoch) begins with the first record
    that is not older. Without both, only new records are read. `until_end` stops at the present end of the topics.
    Kafka confirms a commit a moment before consumers see it. So `until_end` reads up to the last offset of each
    partition, and waits for the end of transactions that are open before this offset. Without `until_end` the reading
    never stops.

    Records of one partition come in their order. Records that exist at the start come in the order of their timestamps
    across all partitions. Close the iterator (`contextlib.aclosing`).

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached or read, or a topic does not exist.
    """
    names = topics or topic_names(settings)
    oldest = None if since is None else round(since * 1000)
    ends = await last_offsets(settings, names) if until_end else {}
    async with consumer(settings, names, isolation, wait_ms=POLL_MS) as client:
        places = client.assignment()
        if oldest is not None:
            starts = await offsets_since(client, places, oldest)
        else:
            starts = await (client.beginning_offsets(places) if from_beginning else client.end_offsets(places))
        for place in places:
            client.seek(place, starts[place])
        later: dict[TopicPartition, list[Any]] = {}
        async for record in _existing(client, ends or await client.end_offsets(places), later):
            if oldest is None or record.timestamp >= oldest:
                yield record
        while not until_end:
            for record in merge(*later.values(), key=_timestamp):
                yield record
            later = await client.getmany(timeout_ms=POLL_MS)


async def _existing(
    client: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], later: dict[TopicPartition, list[Any]]
) -> AsyncGenerator[Any, None]:
    """Yield the records before the offsets `ends`, the oldest of all partitions first. Put further records in `later`.

    A record waits until each partition that is not at its end has a record to compare with.
    """
    numbered = sorted(ends)
    waiting: list[deque[Any]] = [deque() for _ in numbered]
    oldest: list[tuple[int, int]] = []
    """The timestamp of the first waiting record of each partition, with the partition's number. This is a heap."""
    left = await unread(client, ends)
    while left or oldest:
        if any(not queue and place in left for place, queue in zip(numbered, waiting, strict=True)):
            idle = {
                place
                for place, queue in zip(numbered, waiting, strict=True)
                if place not in left or len(queue) >= MOST_WAITING
            }
            client.pause(*idle)
            client.resume(*(ends.keys() - idle))
            fetched = await client.getmany(timeout_ms=POLL_MS)
            for number, place in enumerate(numbered):
                records = fetched.get(place, ())
                before = [one for one in records if one.offset < ends[place]]
                if before and not waiting[number]:
                    heappush(oldest, (before[0].timestamp, number))
                waiting[number].extend(before)
                if len(before) < len(records):
                    later.setdefault(place, []).extend(records[len(before) :])
            left = await unread(client, ends)
        else:
            _, number = heappop(oldest)
            queue = waiting[number]
            yield queue.popleft()
            if queue:
                heappush(oldest, (queue[0].timestamp, number))
    client.resume(*ends)


def _timestamp(record: Any) -> int:
    timestamp: int = record.timestamp
    return timestamp
