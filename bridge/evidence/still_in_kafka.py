"""Checks whether the records of a bundle are still in Kafka, byte for byte."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from bridge.delivery import records_at
from bridge.evidence.bundle import stored
from bridge.evidence.file.verify import Check, Outcome
from bridge.evidence.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.evidence.bundle import Bundle
    from bridge.settings import Kafka


async def still_in_kafka(
    bundle: Bundle, settings: Kafka, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> list[Check]:
    """Compare each record of a bundle with the record at the same place in Kafka.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached or read.
    """
    offsets: dict[TopicPartition, set[int]] = defaultdict(set)
    for record in bundle.records:
        offsets[TopicPartition(record.topic, record.partition)].add(record.offset)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, len(bundle.records))

    found = await records_at(settings, offsets, count)
    checks = []
    for number, record in enumerate(bundle.records):
        there = found.get((record.topic, record.partition, record.offset))
        if there is None:
            text = f"{record.name} is not in Kafka any more. Retention or compaction may have deleted it."
            checks.append(Check(f"records[{number}]", Outcome.FAILED, text))
        elif stored(there, record.source) != record:
            text = f"{record.name} is in Kafka with other bytes than in the file."
            checks.append(Check(f"records[{number}]", Outcome.FAILED, text))
    if not checks:
        text = f"{counted(len(bundle.records), 'record')}: Kafka still has each with the same bytes."
        checks.append(Check("kafka", Outcome.OK, text))
    return checks
