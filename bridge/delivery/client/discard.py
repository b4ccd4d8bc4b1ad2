"""Ends an aiokafka producer at once, whatever state it is in; aiokafka has no such thing (hence the private names).

Its `stop()` waits for sends that may never end, and leaves tasks behind that go on trying when it is cancelled.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiokafka import AIOKafkaProducer

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT: Final = 1.0


async def discard(producer: AIOKafkaProducer) -> None:
    """End every task and close every connection of the producer, within about three seconds while Kafka hangs."""
    sender, accumulator = producer._sender, producer._message_accumulator  # noqa: SLF001
    await _end(_tasks_of(sender))
    closing = asyncio.ensure_future(producer.stop())
    await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT)
    await _end([closing, *_tasks_of(producer, sender, producer.client, accumulator)])
    _look_at(_unread_futures(producer))


def _unread_futures(producer: AIOKafkaProducer) -> Iterable[asyncio.Future[Any] | None]:
    """What aiokafka may have failed without anybody to await it."""
    yield producer._txn_manager._transaction_waiter  # noqa: SLF001
    for queue in producer._message_accumulator._batches.values():  # noqa: SLF001
        for batch in queue:
            yield batch._drain_waiter  # noqa: SLF001


def _tasks_of(*owners: object) -> list[asyncio.Task[Any]]:
    """The running tasks whose coroutine is a method of one of `owners`."""
    tasks = []
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        if inspect.iscoroutine(coroutine) and coroutine.cr_frame is not None:
            itself = inspect.getcoroutinelocals(coroutine).get("self")
            if any(itself is owner for owner in owners):
                tasks.append(task)
    return tasks


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel the tasks and note how each ended. Only an error that is not about Kafka is worth a line in the log."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
    for error in _look_at(tasks):
        if not isinstance(error, KafkaError | OSError | AssertionError):
            log.warning("producer-task-failed", error=type(error).__name__)


def _look_at(futures: Iterable[asyncio.Future[Any] | None]) -> list[BaseException]:
    """The errors of the futures that are done: what nobody looks at, asyncio reports as an error of ours."""
    done = [future for future in futures if future is not None and future.done() and not future.cancelled()]
    return [error for future in done if (error := future.exception()) is not None]
