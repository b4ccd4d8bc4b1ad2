"""Which records go together: one batch for each partition, until Kafka refuses one.

A refused batch comes in parts in the next attempt, until the one record that Kafka does not take stands alone and is
replaced by its dead letter. The parts stay in each other's order, so the order within a key holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.delivery.client.partition import partition_of
from bridge.events import DEAD_LETTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bridge.delivery.client.failures import Refusal
    from bridge.events import Record

MAX_VALUE: Final = 8 << 20
"""Bytes of a value over which a record is not even sent: brokers close a connection that asks for too much instead of
refusing the record. Under it the topic's own limit decides (`max.message.bytes`, by default 1 MiB)."""
RECORD_OVERHEAD: Final = 64
UNPLACED: Final = -1
"""The partition of a dead letter before the next attempt, which asks how many partitions its topic has."""


@dataclass(slots=True, eq=False)
class Batch:
    """Records of one partition, in order. `topic` is without the prefix."""

    topic: str
    partition: int
    records: list[Record]


def batches(records: Iterable[Record], partitions: Mapping[str, int]) -> list[Batch]:
    """Sort the records into one batch for each partition; `partitions` has the number of each topic's partitions."""
    places: dict[str, dict[int, list[Record]]] = {}
    for record in records:
        topic = record.topic
        by_partition = places.get(topic)
        if by_partition is None:
            by_partition = places[topic] = {}
        count = partitions[topic]
        partition = partition_of(record.key, count) if count > 1 else 0
        group = by_partition.get(partition)
        if group is None:
            by_partition[partition] = [record]
        else:
            group.append(record)
    return [
        Batch(topic, partition, group)
        for topic, by_partition in places.items()
        for partition, group in by_partition.items()
    ]


def placed(batch: Batch, partitions: Mapping[str, int]) -> Batch:
    """The batch with its partition, where it has none yet."""
    if batch.partition != UNPLACED:
        return batch
    [found] = batches(batch.records, partitions)
    return found


def chunks(batch: Batch, limit: int) -> list[Batch]:
    """The batch in pieces of at most `limit` bytes, or of one record."""
    pieces: list[list[Record]] = []
    room = 0
    for record in batch.records:
        size = size_of(record)
        if size > room:
            pieces.append([])
            room = limit
        pieces[-1].append(record)
        room -= size
    return [Batch(batch.topic, batch.partition, piece) for piece in pieces]


def without_refused(
    sent: Sequence[Batch], refused: Mapping[Batch, Refusal], to_dead_letter: Callable[[Record, Refusal], Record]
) -> list[Batch]:
    """The batches of the next attempt: a refused batch comes in parts, or as a dead letter where it is one record."""
    following: list[Batch] = []
    for batch in sent:
        why = refused.get(batch)
        if why is None:
            following.append(batch)
        elif len(batch.records) == 1:
            following.append(Batch(DEAD_LETTERS, UNPLACED, [to_dead_letter(batch.records[0], why)]))
        else:
            following += _parts(batch)
    return following


def _parts(batch: Batch) -> list[Batch]:
    """Two halves; but where one record has most of the bytes, that one alone and what is on both its sides."""
    records = batch.records
    sizes = [size_of(record) for record in records]
    largest = max(sizes)
    place = sizes.index(largest)
    middle = len(records) // 2
    cuts = (place, place + 1) if largest > sum(sizes) // 2 else (middle, middle)
    parts = (records[: cuts[0]], records[cuts[0] : cuts[1]], records[cuts[1] :])
    return [Batch(batch.topic, batch.partition, part) for part in parts if part]


def size_of(record: Record) -> int:
    """Bytes that the record takes, about."""
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key) + len(record.value) + headers + RECORD_OVERHEAD
