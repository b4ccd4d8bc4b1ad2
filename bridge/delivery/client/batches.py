"""Groups records into batches: one batch for each partition, until Kafka refuses a batch.

A refused batch is divided for the next attempt. The division is repeated until the record that Kafka refuses is alone
in a batch. Then a dead letter replaces the record. The parts of a batch keep their order, so records of a key stay in
order.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.delivery.client.partition import partition_of, partitions_of
from bridge.events import DEAD_LETTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bridge.delivery.client.failures import Refusal
    from bridge.events import Record

MAX_VALUE: Final = 8 << 20
"""Largest value in bytes that the bridge sends to Kafka. For a much larger request, a broker closes the connection and
does not refuse the record. Below this limit, the topic's limit applies (`max.message.bytes`, by default 1 MiB)."""
RECORD_OVERHEAD: Final = 64
UNPLACED: Final = -1
"""Marks a dead letter without a chosen partition. `placed` chooses the partition in the next attempt."""


@dataclass(slots=True, eq=False)
class Batch:
    """Records for a partition, in order. `topic` is the name without the prefix."""

    topic: str
    partition: int
    records: list[Record]


def batches(records: Iterable[Record], partitions: Mapping[str, int]) -> list[Batch]:
    """Group the records into a batch for each partition. `partitions` has the number of partitions of each topic."""
    by_topic: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_topic[record.topic].append(record)
    return [batch for topic, group in by_topic.items() for batch in _by_partition(topic, group, partitions[topic])]


def _by_partition(topic: str, records: list[Record], count: int) -> list[Batch]:
    if count == 1:
        return [Batch(topic, 0, records)]
    if len(records) == 1:  # the usual batch while single events arrive
        return [Batch(topic, partition_of(records[0].key, count), records)]
    partitions = partitions_of({record.key for record in records}, count)
    groups: defaultdict[int, list[Record]] = defaultdict(list)
    for record in records:
        groups[partitions[record.key]].append(record)
    return [Batch(topic, partition, group) for partition, group in groups.items()]


def placed(batch: Batch, partitions: Mapping[str, int]) -> Batch:
    """Return the batch. If the batch is `UNPLACED`, choose its partition first."""
    if batch.partition != UNPLACED:
        return batch
    [found] = batches(batch.records, partitions)
    return found


def chunks(batch: Batch, limit: int) -> list[Batch]:
    """Divide the batch into batches of at most `limit` bytes. A larger record gets a separate batch."""
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
    """Return the batches for the next attempt. A refused batch is divided; a single record becomes a dead letter."""
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
    """Divide a batch into halves. A record with most of the bytes gets a separate batch."""
    records = batch.records
    sizes = [size_of(record) for record in records]
    largest = max(sizes)
    place = sizes.index(largest)
    middle = len(records) // 2
    cuts = (place, place + 1) if largest > sum(sizes) // 2 else (middle, middle)
    parts = (records[: cuts[0]], records[cuts[0] : cuts[1]], records[cuts[1] :])
    return [Batch(batch.topic, batch.partition, part) for part in parts if part]


def size_of(record: Record) -> int:
    """Return the approximate size of the record in bytes."""
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key) + len(record.value) + headers + RECORD_OVERHEAD
