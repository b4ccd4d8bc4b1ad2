"""A wrapper of aiokafka's producer. The caller must discard a producer after its first failure.

aiokafka's idempotent producer repeats a send without limit, and its `stop()` waits for such sends. So the caller must
set a deadline for each call. After a refused batch, the producer's sequence numbers no longer match the broker's. So
the caller must use a new producer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError

from bridge.delivery.client.aiokafka_internals.producing import discard, shorten_marker_wait
from bridge.delivery.client.connection import connection, milliseconds
from bridge.delivery.client.failures import client_faults, guarded, refusal
from bridge.futures import error_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.delivery.client.batches import Batch
    from bridge.delivery.client.failures import Refusal
    from bridge.settings import Kafka

MAX_BATCH: Final = 900_000
"""Limit for a batch in bytes. Including its overhead, the batch stays below the broker's default limit of 1 MiB."""
TRANSACTION_TIMEOUT: Final = 30.0
"""Seconds after which the coordinator aborts the transaction of a dead bridge. An open transaction hides later records
of its partitions from read_committed consumers, so the value is only half of Kafka's default."""
shorten_marker_wait()


def transaction_timeout(settings: Kafka) -> float:
    """Seconds after which the coordinator aborts a transaction that nobody ends."""
    return max(TRANSACTION_TIMEOUT, 2 * settings.request_timeout)


class BatchRefused(Exception):
    """Kafka refused batches because of their content or size. `reasons` has the reason for each batch."""

    def __init__(self, reasons: dict[Batch, Refusal]) -> None:
        super().__init__(f"{len(reasons)} batches refused")
        self.reasons = reasons


class Producer:
    """Sends batches. With a `transactional_id` the batches are sent in transactions."""

    def __init__(self, settings: Kafka, transactional_id: str | None) -> None:
        self._transactional = transactional_id is not None
        self.committing = False
        """Whether the outcome of the transaction is unknown, because the commit request may have been sent."""
        self._topic_timeout = settings.request_timeout / 2
        self._client: Any = AIOKafkaProducer(
            **connection(settings),
            acks="all",
            enable_idempotence=True,
            transactional_id=transactional_id,
            transaction_timeout_ms=milliseconds(transaction_timeout(settings)),
            compression_type=None if settings.compression == "none" else settings.compression,
            max_batch_size=MAX_BATCH,
            retry_backoff_ms=50,
        )
        self._kafka: Any = guarded(self._client)

    async def start(self) -> None:
        """Connect. With a transactional id, this fences each earlier producer with the id and ends its transaction."""
        await self._kafka.start()

    async def partitions(self, topic: str) -> int:
        """Return the number of partitions of the topic. Wait a while for a topic that the cluster is creating.

        Raises:
            UnknownTopicOrPartitionError: the topic does not exist. The error's argument is the topic's name.
        """
        patience = asyncio.timeout(self._topic_timeout)
        try:
            async with patience:
                return len(await self._kafka.partitions_for(topic))
        except UnknownTopicOrPartitionError:
            raise UnknownTopicOrPartitionError(topic) from None
        except TimeoutError:
            if not patience.expired():  # the broker did not answer, so the topic may exist
                raise
            raise UnknownTopicOrPartitionError(topic) from None

    async def begin(self) -> None:
        """Begin a transaction if the producer is transactional."""
        self.committing = False
        if self._transactional:
            await self._kafka.begin_transaction()

    async def send(self, name: str, batch: Batch, timestamp: int) -> list[asyncio.Future[Any]]:
        """Queue a batch for the topic `name`, with `timestamp` in ms. Kafka's answer completes the returned futures."""
        sent: list[asyncio.Future[Any]] = []

        async def submit() -> None:
            future = await self._kafka.send_batch(builder, name, partition=batch.partition)
            future.add_done_callback(error_of)  # after a failed transaction, some futures are not awaited
            sent.append(future)

        builder = self._kafka.create_batch()
        append = builder.append
        for record in batch.records:
            headers = record.headers
            if append(timestamp=timestamp, key=record.key, value=record.value, headers=headers) is None:
                await submit()
                builder = self._kafka.create_batch()
                append = builder.append
                append(timestamp=timestamp, key=record.key, value=record.value, headers=headers)
        await submit()
        return sent

    async def commit(self) -> None:
        """Commit the transaction, if the producer is transactional. First await all futures of `send`."""
        if self._transactional:
            self.committing = True
            await self._kafka.commit_transaction()
            self.committing = False

    async def discard(self) -> None:
        """End all tasks and close all connections. An open transaction stays open until the next producer ends it."""
        await discard(self._client)


async def await_acknowledgements(sent: Sequence[tuple[Batch, asyncio.Future[Any]]]) -> None:
    """Wait until Kafka has answered for each batch.

    Raises:
        BatchRefused: Kafka refused some batches because of their content or size. Other batches then fail as a
            consequence.
        aiokafka.errors.KafkaError: another failure.
    """
    results = await asyncio.gather(*(future for _, future in sent), return_exceptions=True)
    refused: dict[Batch, Refusal] = {}
    failure: BaseException | None = None
    for (batch, _), result in zip(sent, results, strict=True):
        if isinstance(result, BaseException):
            why = refusal(result)
            if why is not None:
                refused[batch] = why
            failure = failure or result
    if refused:
        raise BatchRefused(refused)
    if failure is not None:
        with client_faults():
            raise failure
