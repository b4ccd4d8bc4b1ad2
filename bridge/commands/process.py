"""Sets up the process of a command: event loop, threads, memory and signals."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Barrier
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from bridge.errors import CommandFailed

if sys.platform != "win32":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

Result = TypeVar("Result")
KEPT_MEMORY: Final = 32 << 20
"""Bytes. If more freed memory than this is at the end of the heap, the C library gives it back to the system. The
transaction of a long reply needs about half of this."""
LARGEST_KEPT: Final = 8 << 20
"""Bytes. A larger block, such as the memory of a very long message, goes back to the system as soon as it is freed."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_received: list[signal.Signals] = []
"""The signals for which `stop_on_signals` has stopped the command."""
log = structlog.get_logger(__name__)


def run_to_end(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine on a new event loop and return its result.

    Raises:
        CommandFailed: the system does not permit enough threads.
        KeyboardInterrupt: Ctrl-C (SIGINT) was pressed, even if the command then ended without an error. If the command
            raised CommandFailed after Ctrl-C, the interrupt has the text of that error.
    """
    _received.clear()
    share_memory()
    try:
        executor = started_threads()
    except CommandFailed:
        main.close()
        raise
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.get_loop().set_default_executor(executor)
        try:
            result = runner.run(main)
        except CommandFailed as error:
            if signal.SIGINT in _received:
                raise KeyboardInterrupt(str(error)) from None
            raise
    if signal.SIGINT in _received:
        raise KeyboardInterrupt
    return result


def started_threads() -> ThreadPoolExecutor:
    """Return a thread pool for blocking calls, with all its threads started.

    A usual pool starts threads only when it needs them, for example during a login or a transaction. If the system
    permitted no more threads at that time, the bridge would end in the middle of its work.

    Raises:
        CommandFailed: the system does not permit enough threads.
    """
    workers = min(32, (os.cpu_count() or 1) + 4)
    executor, ready = ThreadPoolExecutor(workers), Barrier(workers + 1)
    try:
        for _ in range(workers):
            executor.submit(ready.wait)  # each call blocks its thread, so each call starts a new thread
    except RuntimeError:
        ready.abort()
        raise CommandFailed(f"The system does not permit {workers} threads; raise the process limit (pids)") from None
    ready.wait()
    return executor


def freeze_objects() -> None:
    """Make the garbage collector ignore all objects that exist now, because they stay until the process ends."""
    gc.freeze()


def share_memory() -> None:
    """Make all threads share the freed memory of the process. Call this before the first thread starts.

    By default glibc gives each thread a heap of its own. The bridge's threads rarely work at the same time, and their
    heaps took 0.8 MB.
    """
    with _c_library() as library:
        library.mallopt(_M_ARENA_MAX, 1)


def keep_freed_memory() -> None:
    """Make the C library keep freed memory, up to about `KEPT_MEMORY`, for the next transaction.

    By default glibc gives the memory back to the system after each transaction. The system must then clear it again for
    the next one, page by page, which took a fifth of the CPU time of each event.
    """
    with _c_library() as library:
        library.mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
        library.mallopt(_M_TRIM_THRESHOLD, KEPT_MEMORY)


def give_back_memory() -> None:
    """Give the freed memory back to the system, once. The imports and the derivation of keys leave about 8 MB of it."""
    with _c_library() as library:
        library.malloc_trim(0)


@contextmanager
def _c_library() -> Iterator[ctypes.CDLL]:
    """Yield the C library. If it is not glibc, it lacks the functions that the caller uses, and nothing changes."""
    with suppress(OSError, AttributeError, TypeError):  # TypeError: Windows can't load the library without a name
        yield ctypes.CDLL(None)


def stop_on_signals() -> asyncio.Event:
    """Return an event that the first SIGTERM or SIGINT sets. The second signal ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def asked(number: signal.Signals) -> None:
        for one in STOP_SIGNALS:
            loop.remove_signal_handler(one)
            # The system's own handler ends the process even if the event loop hangs.
            signal.signal(one, signal.SIG_DFL)
        _received.append(number)
        log.info("stopping", signal=number.name)
        stop.set()

    for one in STOP_SIGNALS:
        loop.add_signal_handler(one, asked, one)
    return stop


async def until_signal(work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of `work`. The first SIGTERM or SIGINT cancels it.

    Raises:
        CommandFailed: a signal came first.
    """
    ended = await ended_or_stopped(work)
    if ended.cancelled():
        raise CommandFailed("stopped by a signal")
    return ended.result()


async def ended_or_stopped(work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """Run `work` to its end. The first SIGTERM or SIGINT cancels it. Return the task, which has ended."""
    stop = stop_on_signals()
    working = asyncio.create_task(work)
    tasks = [working, asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return working
