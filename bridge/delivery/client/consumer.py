"""Opens and closes consumers with deadlines. The consumers belong to no consumer group."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from bridge.delivery.client import unreadable
from bridge.delivery.client.aiokafka_internals.reading import Consumer
from bridge.delivery.client.connection import closed, connection
from bridge.delivery.client.failures import guarded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer, TopicPartition

    from bridge.settings import Kafka

Isolation: TypeAlias = Literal["read_committed", "read_uncommitted"]
PARTITION_BYTES: Final = 1 << 20
"""Limit for a partition in a fetch, in compressed bytes. A fetch with a larger batch contains only this batch."""
FETCH_BYTES: Final = 8 << 20
"""Limit for a fetch from a broker, in compressed bytes."""
unreadable.install()


@asynccontextmanager
async def consumer(
    settings: Kafka, topics: Sequence[str], isolation: Isolation, *, wait_ms: int
) -> AsyncGenerator[Consumer, None]:
    """Start a consumer of all partitions of `topics`, and close it at the end of the block.

    At each fetch, the broker waits for new records, but at most `wait_ms` milliseconds.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached, or a topic doesn't exist.
    """
    client: Consumer = guarded(
        Consumer(
            *topics,
            **connection(settings),
            group_id=None,
            enable_auto_commit=False,
            isolation_level=isolation,
            auto_offset_reset="earliest",
            check_crcs=settings.check_crcs,
            fetch_max_wait_ms=wait_ms,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_BYTES,
        )
    )
    try:
        async with asyncio.timeout(settings.request_timeout):
            await client.start()
        yield client
    finally:
        await closed(client.stop())


async def last_offsets(settings: Kafka, topics: Sequence[str]) -> dict[TopicPartition, int]:
    """Return the offset after the last record of each partition, committed or not.

    A read_committed consumer would get the last stable offset, which is lower while a transaction is open, and for a
    moment after a commit.
    """
    async with consumer(settings, topics, "read_uncommitted", wait_ms=0) as client:
        ends: dict[TopicPartition, int] = await client.end_offsets(client.assignment())
        return ends


async def offsets_since(
    client: AIOKafkaConsumer, places: Iterable[TopicPartition], at: int
) -> dict[TopicPartition, int]:
    """Return for each partition the offset of the first record that is not older than `at`, in ms since the epoch.

    If all records are older, return the offset after the last record. If the broker can't search by time (librdkafka's
    mock cluster), return the offset of the first record.
    """
    found = await client.offsets_for_times(dict.fromkeys(places, at))
    offsets = {place: one.offset for place, one in found.items() if one is not None}
    rest = [place for place, one in found.items() if one is None]
    if rest:
        first, ends = await client.beginning_offsets(rest), await client.end_offsets(rest)
        since_ever = await client.offsets_for_times(dict.fromkeys(rest, 0))
        offsets |= {place: first[place] if since_ever[place] is None else ends[place] for place in rest}
    return offsets


async def unread(client: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> set[TopicPartition]:
    """Return the partitions that the client has not read up to the offsets in `ends` yet."""
    return {place for place, end in ends.items() if await client.position(place) < end}
