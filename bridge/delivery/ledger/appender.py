"""Appends records to Kafka without a transaction: durably, in order, and each record at least once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeAlias

import structlog

from bridge.delivery.client.batches import MAX_VALUE, batches, without_refused
from bridge.delivery.client.failures import FAILURES, TOO_LARGE, reason
from bridge.delivery.client.producer import BatchRefused, Producer, await_acknowledgements
from bridge.delivery.client.topics import create_missing_topics, topic_name
from bridge.errors import KafkaUnavailable
from bridge.events import DEAD_LETTERS, JSON, dead_letter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery.client.batches import Batch
    from bridge.delivery.client.failures import Refusal
    from bridge.events import Encoding, Record
    from bridge.settings import Kafka

    ToDeadLetter: TypeAlias = Callable[[Record, Refusal], Record]

log = structlog.get_logger(__name__)


class Appender:
    """Appends records with an idempotent producer. Only one task at a time may use an appender."""

    def __init__(self, settings: Kafka, encoding: Encoding = JSON) -> None:
        self._settings = settings
        self._encoding = encoding
        self._producer: Producer | None = None
        self._partitions: dict[str, int] = {}

    async def append(self, records: Sequence[Record]) -> None:
        """Append records, and return once they are in Kafka.

        If Kafka refuses a record because of its content or size, the record becomes a dead letter.

        Raises:
            KafkaUnavailable: Kafka failed, or did not accept all records within `request_timeout`. Some or all of the
                records may be in Kafka nevertheless.
        """
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                await self._append(records)
        except FAILURES as error:
            await self.stop()
            raise KafkaUnavailable(reason(error)) from None
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def partitions(self, topic: str) -> int:
        """Return the number of a topic's partitions. `topic` is the name without the prefix.

        Raises:
            KafkaUnavailable: Kafka failed, or did not answer within `request_timeout`.
        """
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                return await (await self._started()).partitions(topic_name(self._settings, topic))
        except FAILURES as error:
            await self.stop()
            raise KafkaUnavailable(reason(error)) from None

    async def stop(self) -> None:
        """Close the connections. The next call opens new connections."""
        producer, self._producer = self._producer, None
        self._partitions.clear()
        if producer is not None:
            await producer.discard()

    async def _append(self, records: Sequence[Record]) -> None:
        timestamp = time.time_ns() // 1_000_000

        def to_dead_letter(record: Record, why: Refusal) -> Record:
            log.warning("dead-lettered", reason=why, records=1)
            return dead_letter(record, why, at=timestamp / 1000, encoding=self._encoding)

        due = await self._placed(
            [to_dead_letter(one, TOO_LARGE) if len(one.value) > MAX_VALUE else one for one in records]
        )
        while due:
            due = await self._attempt(due, timestamp, to_dead_letter)

    async def _placed(self, records: Sequence[Record]) -> list[Batch]:
        producer = await self._started()
        for topic in {record.topic for record in records}:
            self._partitions[topic] = await producer.partitions(topic_name(self._settings, topic))
        return batches(records, self._partitions)

    async def _attempt(self, due: list[Batch], timestamp: int, to_dead_letter: ToDeadLetter) -> list[Batch]:
        """Send the batches. Return the batches for the next attempt, or an empty list if Kafka refused none."""
        producer = await self._started()
        sent = []
        for batch in due:
            name = topic_name(self._settings, batch.topic)
            sent += [(batch, future) for future in await producer.send(name, batch, timestamp)]
        try:
            await await_acknowledgements(sent)
        except BatchRefused as refused:
            if any(batch.topic == DEAD_LETTERS and len(batch.records) == 1 for batch in refused.reasons):
                raise KafkaUnavailable("kafka refuses a dead letter") from None
            await self.stop()
            divided = without_refused(due, refused.reasons, to_dead_letter)
            return [piece for batch in divided for piece in await self._placed(batch.records)]
        return []

    async def _started(self) -> Producer:
        if self._producer is None:
            if self._settings.create_topics:
                await create_missing_topics(self._settings)
            self._producer = Producer(self._settings, None)
            await self._producer.start()
        return self._producer
