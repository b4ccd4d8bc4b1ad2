"""Reads the published events back, for `bridge tail`, the demo and tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bridge.delivery.client.consumer import Isolation, consumer, last_offsets, unread
from bridge.delivery.client.topics import topic_names

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from bridge.settings import Kafka

POLL_MS: Final = 200


@dataclass(frozen=True, slots=True)
class ConsumedRecord:
    """One record as a consumer gets it; `topic` is its whole name, `timestamp` in ms since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: Mapping[str, bytes]
    value: bytes | None


def consumed(record: Any) -> ConsumedRecord:
    """Make it of a record of aiokafka's."""
    return ConsumedRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        dict(record.headers),
        record.value,
    )


async def read(
    settings: Kafka,
    topics: Sequence[str] | None = None,
    *,
    isolation: Isolation = "read_committed",
    from_beginning: bool = False,
    until_end: bool = False,
) -> AsyncGenerator[ConsumedRecord, None]:
    """Yield the records of `topics` (whole names; None: all event topics), without a consumer group.

    Starts at the first record or after the last one. With `until_end` it ends where the topics ended when it was
    called, else never. Kafka confirms a commit a moment before consumers see it, so that end is the partition's last
    offset, and a transaction that is open there is waited for. Records of one partition come in order. Close the
    iterator (`contextlib.aclosing`).

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached or read.
    """
    names = topics or topic_names(settings)
    ends = await last_offsets(settings, names) if until_end else {}
    async with consumer(settings, names, isolation, wait_ms=POLL_MS) as client:
        places = client.assignment()
        starts = await (client.beginning_offsets(places) if from_beginning else client.end_offsets(places))
        for place in places:
            client.seek(place, starts[place])
        while not until_end or (left := await unread(client, ends)):
            if until_end:
                client.pause(*(ends.keys() - left))  # what has been read is no longer fetched
            fetched = await client.getmany(timeout_ms=POLL_MS)
            for place, records in fetched.items():
                for record in records:
                    if until_end and record.offset >= ends.get(place, 0):
                        break
                    yield consumed(record)
