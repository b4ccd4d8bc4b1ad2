"""`bridge` with stops at chosen points of its code, and with a wrong clock, as a rig of `tests.forking`.

`tests.faults.rig.Rig` is the test's side. Both share the directory `RIG_DIRECTORY`: a file with the name of a point
arms the point, and the process that reaches it renames the file to `<point>.<pid>`. The file `RIG_CLOCK` says how many
seconds the clock is fast.
"""

import asyncio
import functools
import os
import signal
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from tests.forking import import_bridge

DIRECTORY: Final = "RIG_DIRECTORY"
CLOCK: Final = "RIG_CLOCK"


class Point(StrEnum):
    """Points in the bridge's code at which a process can stop."""

    TRANSACTION_OPEN = "transaction-open"
    """All records of a transaction are in Kafka. The commit is not sent."""
    REPLY_ARRIVED = "reply-arrived"
    """A poll's reply with events has arrived. Nothing of it is sent to Kafka."""
    REPLY_COMMITTED = "reply-committed"
    """The events of a poll's reply are committed. The next poll is not sent."""
    TAKEOVER_FENCED = "takeover-fenced"
    """The slot's producers have started, so the former owner is fenced. The claims are not committed."""
    TAKEOVER_CLAIMED = "takeover-claimed"
    """The claim is committed. The first poll is not sent."""
    SESSION_OPENED = "session-opened"
    """A new session's first position is committed. The first poll is not sent."""
    FORWARDING = "forwarding"
    """The `requested` event of an operation is in Kafka. The request is not sent to Web Services.

    Here only the forwarding waits. The rest of the process runs on, so the caller gets his 202."""


def _reach(point: Point) -> Path | None:
    """Return the mark that this process has left at an armed point. None if the point is not armed."""
    directory = Path(os.environ[DIRECTORY])
    mark = directory / f"{point}.{os.getpid()}"
    try:
        (directory / point).rename(mark)
    except FileNotFoundError:
        return None
    return mark


def _stop(point: Point) -> None:
    if _reach(point) is not None:
        os.kill(os.getpid(), signal.SIGSTOP)  # nothing of the process runs until SIGCONT, then it continues here


async def _wait(point: Point) -> None:
    mark = _reach(point)
    while mark is not None and mark.exists():  # noqa: ASYNC110 - another process removes it
        await asyncio.sleep(0.005)


def _rig(owner: type, name: str, rigged: Callable[..., Awaitable[Any]]) -> None:
    """Replace a method. `rigged` gets the original method as its first argument."""
    original = getattr(owner, name)

    @functools.wraps(original)
    async def method(*arguments: Any, **named: Any) -> Any:
        return await rigged(original, *arguments, **named)

    setattr(owner, name, method)


def _stop_before(owner: type, name: str, point: Point) -> None:
    async def rigged(original: Any, *arguments: Any, **named: Any) -> Any:
        _stop(point)
        return await original(*arguments, **named)

    _rig(owner, name, rigged)


def _stop_after(owner: type, name: str, point: Point) -> None:
    async def rigged(original: Any, *arguments: Any, **named: Any) -> Any:
        result = await original(*arguments, **named)
        _stop(point)
        return result

    _rig(owner, name, rigged)


async def _received(original: Any, relay: Any, batch: Any) -> None:
    if batch.events:
        _stop(Point.REPLY_ARRIVED)
    await original(relay, batch)
    if batch.events:
        _stop(Point.REPLY_COMMITTED)


async def _forward(original: Any, *arguments: Any, **named: Any) -> Any:
    await _wait(Point.FORWARDING)
    return await original(*arguments, **named)


def _rig_points() -> None:
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415 - the clock must be rigged before the bridge is imported

    from bridge.delivery.slots.commit import SlotProducers  # noqa: PLC0415
    from bridge.operations.forwarding.account_forwarder import AccountForwarder  # noqa: PLC0415
    from bridge.relay import Relay  # noqa: PLC0415

    _stop_before(AIOKafkaProducer, "commit_transaction", Point.TRANSACTION_OPEN)
    _rig(Relay, "received", _received)
    _stop_after(SlotProducers, "start", Point.TAKEOVER_FENCED)
    _stop_after(Relay, "begin", Point.TAKEOVER_CLAIMED)
    _stop_after(Relay, "opened", Point.SESSION_OPENED)
    _rig(AccountForwarder, "forward", _forward)


def _rig_clock() -> None:
    true, true_ns = time.time, time.time_ns

    def ahead() -> float:
        """Seconds that the clock of this process is fast. The process that forks has a right clock."""
        return float(Path(os.environ[CLOCK]).read_text()) if CLOCK in os.environ else 0

    time.time = lambda: true() + ahead()
    time.time_ns = lambda: true_ns() + round(ahead() * 1e9)


def rig() -> None:
    """Import the bridge, and change it. `DIRECTORY` and `CLOCK` are variables of the forks."""
    _rig_clock()
    import_bridge()
    _rig_points()
