"""Finds an account's newest value on the position topic."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka import TopicPartition

from bridge.delivery.consumer import consumer, last_offsets
from bridge.delivery.topics import position_topic
from bridge.errors import KafkaUnavailable

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from bridge.settings import Kafka

TAIL: Final = 512
"""Offsets that the first look takes in; each further one twice as many. A turn leaves two (record, marker)."""
FETCH_WAIT_MS: Final = 50


class Newest(NamedTuple):
    """A value, and when it was written, in seconds since the epoch."""

    value: bytes
    at: float


async def newest_value(settings: Kafka, account: str, partition: int, *, settled: bool) -> Newest | None:
    """The newest committed value of `account`, read from the end of its partition backwards; None without one.

    Accounts may share a partition, and any open transaction hides what was committed after it. So for an answer that
    counts (`settled`, when the account's own transactions are over) it waits until nothing is hidden: until the other
    account's bridge commits, is started again, or its transaction times out. Without `settled` it answers with what can
    be seen now.

    Raises:
        KafkaUnavailable: another account's transaction stays open.
        aiokafka.errors.KafkaError, OSError, TimeoutError: the topic can't be read now.
    """
    topic = position_topic(settings)
    place = TopicPartition(topic, partition)
    async with (
        asyncio.timeout(settings.request_timeout),
        consumer(settings, (), "read_committed", wait_ms=FETCH_WAIT_MS) as client,
    ):
        client.assign([place])
        if settled:
            await _until_visible(client, place, (await last_offsets(settings, [topic]))[place], settings)
        return await _search(client, place, account.encode())


async def _until_visible(client: AIOKafkaConsumer, place: TopicPartition, end: int, settings: Kafka) -> None:
    """Wait, for half of the deadline, until the last stable offset has come to `end`."""
    patience = asyncio.timeout(settings.request_timeout / 2)
    try:
        async with patience:
            while (await client.end_offsets([place]))[place] < end:  # noqa: ASYNC110 -- Kafka tells nobody
                await asyncio.sleep(FETCH_WAIT_MS / 1000)
    except TimeoutError:
        if not patience.expired():  # a broker that does not answer in time hides nothing
            raise
        raise KafkaUnavailable(f"an open transaction of another account hides the position on {place.topic}") from None


async def _search(client: AIOKafkaConsumer, place: TopicPartition, key: bytes) -> Newest | None:
    start = (await client.beginning_offsets([place]))[place]
    end = upper = (await client.end_offsets([place]))[place]
    window = TAIL
    while upper > start:
        lower = max(start, end - window)
        client.seek(place, lower)
        found = None
        # The position passes over transaction markers and aborted records too, so it reaches `upper`, or goes beyond.
        while await client.position(place) < upper:
            for record in (await client.getmany(place, timeout_ms=FETCH_WAIT_MS)).get(place, ()):
                if record.key == key and record.offset < end:
                    found = record
        if found is not None:  # without a value it is a tombstone: there is none any more
            return None if found.value is None else Newest(found.value, found.timestamp / 1000)
        upper, window = lower, window * 2
    return None
