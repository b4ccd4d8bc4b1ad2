"""What every long-running command needs of its process: an event loop, and signals that ask it to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from bridge.errors import CommandFailed

if sys.platform != "win32":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
log = structlog.get_logger(__name__)


def run_to_end(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine on an event loop of its own and return its result.

    Raises:
        CommandFailed: the system grants no threads.
    """
    try:
        executor = started_threads()
    except CommandFailed:
        main.close()
        raise
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.get_loop().set_default_executor(executor)
        return runner.run(main)


def started_threads() -> ThreadPoolExecutor:
    """Return a pool for blocking calls whose threads all run already.

    A pool would else start each thread at its first use, in the middle of a login or of a transaction, and a system
    whose limit of threads is reached by then would end the bridge.

    Raises:
        CommandFailed: the system grants no more threads.
    """
    workers = min(32, (os.cpu_count() or 1) + 4)
    executor, ready = ThreadPoolExecutor(workers), Barrier(workers + 1)
    try:
        for _ in range(workers):
            executor.submit(ready.wait)  # a thread that waits takes no second call, so each call starts a thread
    except RuntimeError:
        ready.abort()
        raise CommandFailed(f"The system grants no {workers} threads: raise the limit of processes (pids)") from None
    ready.wait()
    return executor


def collect_rarely() -> None:
    """Let the garbage collector look less often, and never again at what the start has left.

    The relay makes many objects that live for one transaction and form no cycles: looking for them took 6 to 12 % of
    the CPU time of each event (measured in five pairs of runs).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def stop_on_signals() -> asyncio.Event:
    """Return an event that the first SIGTERM or SIGINT sets; the second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def asked(number: signal.Signals) -> None:
        for one in STOP_SIGNALS:
            loop.remove_signal_handler(one)
            # Not left to the loop: it may be the loop that hangs.
            signal.signal(one, signal.SIG_DFL)
        log.info("stopping", signal=number.name)
        stop.set()

    for one in STOP_SIGNALS:
        loop.add_signal_handler(one, asked, one)
    return stop
