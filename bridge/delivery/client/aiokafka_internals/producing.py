"""Transactions, and the end of producers that have failed."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import errors
from aiokafka.client import CoordinationType
from aiokafka.producer import sender
from aiokafka.protocol.transaction import EndTxnRequest, InitProducerIdRequest

from bridge.futures import error_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiokafka import AIOKafkaClient, AIOKafkaProducer

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT: Final = 1.0
MARKER_WAIT: Final = 0.002


def shorten_marker_wait() -> None:
    """Make aiokafka wait 2 ms, not 20 ms, while the coordinator writes the last transaction's markers (KAFKA-5477).

    Private part: `aiokafka.producer.sender.BACKOFF_OVERRIDE`. The producer has no option for this wait. If transactions
    follow one another directly, a transaction of one record then takes 5 ms instead of 28 ms (measured with Kafka 4.1).
    If aiokafka renames the constant, transactions get slower again and nothing else breaks.
    """
    sender.BACKOFF_OVERRIDE = MARKER_WAIT


async def end_no_transaction(client: AIOKafkaClient, transactional_id: str) -> int:
    """Ask Kafka to abort a transaction of a producer id that never existed. Return Kafka's error code.

    Private part: `aiokafka.protocol.transaction.EndTxnRequest`. A public producer would fence the producer that uses
    the transactional id. If the class changes, the bridge can't find out in advance whether it may use the id.
    """
    request = EndTxnRequest(transactional_id, -1, -1, False)  # noqa: FBT003 -- aiokafka's signature
    code: int = (await client.send(client.get_random_node(), request)).error_code
    return code


async def take_transactional_id(client: AIOKafkaClient, transactional_id: str, timeout_ms: int) -> int:
    """Make Kafka fence the producer that uses a transactional id, and end its transaction. Return Kafka's error code.

    Private part: `AIOKafkaClient.coordinator_lookup` and `aiokafka.protocol.transaction.InitProducerIdRequest`. A
    public producer would need its own connections and tasks for each id. If these names change, the bridge can't take
    an account over from a bridge that uses other transactional ids.

    Raises:
        aiokafka.errors.KafkaError: no coordinator was found, or the right to use the id is missing.
    """
    node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
    code: int = (await client.send(node, InitProducerIdRequest(transactional_id, timeout_ms))).error_code
    return code


async def discard(producer: AIOKafkaProducer) -> None:
    """End all tasks and close all connections of the producer. Even if Kafka hangs, this takes only about 3 seconds.

    Private part: `AIOKafkaProducer._sender`, `._message_accumulator` and `._txn_manager`, and the futures inside them.
    The public `stop()` waits for sends that may never end. A cancelled `stop()` leaves tasks that go on sending. If
    aiokafka renames these attributes, the tasks and connections of a failed producer stay.
    """
    sending, accumulator = producer._sender, producer._message_accumulator  # noqa: SLF001
    await _end(_tasks_of(sending))
    closing = asyncio.ensure_future(producer.stop())
    await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT)
    await _end([closing, *_tasks_of(producer, sending, producer.client, accumulator)])
    for future in _futures_of(producer):
        error_of(future)


def _futures_of(producer: AIOKafkaProducer) -> Iterable[asyncio.Future[Any]]:
    """Yield the futures of the producer whose exceptions no other code retrieves."""
    transaction = producer._txn_manager  # noqa: SLF001 -- None without idempotence
    if transaction is not None and transaction._transaction_waiter is not None:  # noqa: SLF001
        yield transaction._transaction_waiter  # noqa: SLF001
    for queue in producer._message_accumulator._batches.values():  # noqa: SLF001
        for batch in queue:
            yield batch._drain_waiter  # noqa: SLF001


def _tasks_of(*owners: object) -> list[asyncio.Task[Any]]:
    """Return the running tasks whose coroutine is a method of one of the `owners`."""
    tasks = []
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        if inspect.iscoroutine(coroutine) and coroutine.cr_frame is not None:
            itself = inspect.getcoroutinelocals(coroutine).get("self")
            if any(itself is owner for owner in owners):
                tasks.append(task)
    return tasks


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel the tasks and retrieve their results. Log only errors that are not caused by Kafka."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
    for error in filter(None, map(error_of, tasks)):
        if not isinstance(error, errors.KafkaError | OSError | AssertionError):
            log.warning("producer-task-failed", error=type(error).__name__)
