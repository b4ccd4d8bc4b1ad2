"""Notices a session that looks connected but delivers no events, and repairs it in three steps.

There are two kinds of silence. In the first kind a poll does not end. In the second kind Web Services accepts
operations but sends no acknowledgement, because the session's subscription no longer exists on the server.

The steps are: ask the server (`probe`), poll again with all subscriptions (`repoll`), open a new session
(`new-session`). The first two steps lose nothing and come early. A new session loses the events in the old session's
queue, so `MissingAcknowledgements` demands strong evidence for it. The pauses between new sessions grow, because the
cause may be in a server behind Web Services.
"""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog

from bridge.cometd import State
from bridge.errors import CometdError, UpstreamError
from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.cometd import CometdSession, SessionStatus

LONGEST_PATIENCE: Final = 64
"""Largest factor by which the waiting times grow while new sessions do not help."""
ENOUGH: Final = 5
"""Number of operations without an acknowledgement that justify a new session."""
APART: Final = 60.0
"""Seconds between two operations that count. One fault may lose all acknowledgements of a burst of operations."""
STUCK: Final = 30.0
"""Seconds between two steps while a poll does not end."""
LONG_HOLD: Final = 1.0
"""Seconds. While a batch waits longer for Kafka, the bridge does not poll, so no acknowledgement can arrive."""
LONGEST_TICK: Final = 5.0
log = structlog.get_logger(__name__)


class Remedy(StrEnum):
    """The steps against a silence, in this order."""

    PROBE = "probe"
    REPOLL = "repoll"
    NEW_SESSION = "new-session"


class StuckPoll:
    """Decides when the next step is due if a poll does not end: after each `patience` seconds."""

    def __init__(self, patience: float, clock: Callable[[], float]) -> None:
        self._patience = patience
        self._clock = clock
        self._factor = 1
        self._next = 0
        self._since: float | None = None

    @property
    def step(self) -> Remedy | None:
        """The last step that was taken against the current silence. None if no step was taken."""
        return list(Remedy)[self._next - 1] if self._next else None

    def stuck(self) -> None:
        """Record that the poll is past its deadline."""
        if self._since is None:
            self._since = self._clock()

    def turned(self) -> None:
        """Record that polls end in time again. The next silence begins with the first step."""
        self._since, self._next, self._factor = None, 0, 1

    def due(self) -> Remedy | None:
        """Return the step that is due now, None if none is due. Each step is returned once."""
        if self._since is None or self._clock() - self._since < self._patience * self._factor:
            return None
        step = list(Remedy)[self._next]
        self._since = self._clock()
        self._next += 1
        if step is Remedy.NEW_SESSION:
            self._since, self._next = None, 0
            self._factor = min(2 * self._factor, LONGEST_PATIENCE)
        return step


class MissingAcknowledgements:
    """Decides when the next step is due if acknowledgements are missing. All times are in seconds.

    `patience` is the time that an acknowledgement may take.

    - `probe` is due once an operation has waited for `patience`. `repoll` is due one `patience` later.
    - `new-session` is due once `ENOUGH` operations, at least `APART` from each other, have each waited for `patience`.
      The last of these operations must come after the `repoll`. If an event arrives meanwhile, the count starts again.

    An acknowledgement ends the silence. Any other event proves that the session delivers, so it restarts the count. If
    polls fail or Kafka is away, everything starts again, because an acknowledgement may wait on the server. After each
    new session all times double, up to `LONGEST_PATIENCE` times, until an acknowledgement comes.
    """

    def __init__(self, patience: float, clock: Callable[[], float]) -> None:
        self._patience = patience
        self._clock = clock
        self._factor = 1
        self._oldest: float | None = None
        """Start time of the oldest operation of this silence."""
        self._step_at = 0.0
        self._done: Remedy | None = None
        self._evidence: list[float] = []
        """Start times of the operations that justify a new session, at most `ENOUGH`."""

    @property
    def step(self) -> Remedy | None:
        """The last step that was taken against the current silence. None if no step was taken."""
        return self._done

    def accepted(self) -> None:
        """Record that Web Services accepted an operation. Its acknowledgement must come over CometD."""
        now = self._clock()
        if self._oldest is None:
            self._oldest = now
        if self._evidence and now - self._evidence[-1] < APART * self._factor:
            return
        before_the_last = len(self._evidence) < ENOUGH - 1
        if before_the_last or (len(self._evidence) < ENOUGH and self._done is Remedy.REPOLL):
            self._evidence.append(now)

    def acknowledged(self) -> None:
        """Record an acknowledgement for this or any other client, which ends the silence."""
        self._begin_anew()
        self._factor = 1

    def delivered(self) -> None:
        """Record an event that is no acknowledgement."""
        self._evidence.clear()

    def not_listening(self) -> None:
        """Record that acknowledgements can't arrive now, or that the session is new."""
        self._begin_anew()

    def due(self) -> Remedy | None:
        """Return the step that is due now, None if none is due. Each step is returned once."""
        now, patience = self._clock(), self._patience * self._factor
        if self._oldest is None:
            return None
        if self._done is None:
            if now - self._oldest < patience:
                return None
            self._done = Remedy.PROBE
        elif self._done is Remedy.PROBE:
            if now - self._step_at < patience:
                return None
            self._done = Remedy.REPOLL
        elif len(self._evidence) == ENOUGH and now - self._evidence[-1] >= patience:
            self._begin_anew()
            self._factor = min(2 * self._factor, LONGEST_PATIENCE)
            return Remedy.NEW_SESSION
        else:
            return None
        self._step_at = now
        return self._done

    def _begin_anew(self) -> None:
        self._oldest = self._done = None
        self._evidence.clear()


class Watchdog:
    """Watches one account's session. Callers report each accepted operation and each delivery of events."""

    def __init__(self, account: str, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._account = account
        self._clock = clock
        self._tick = min(patience / 4, LONGEST_TICK)
        self._acknowledgements = MissingAcknowledgements(patience, clock)
        self._polls = StuckPoll(STUCK, clock)

    @property
    def step(self) -> Remedy | None:
        """The last step that was taken against the current silence, for GET /sessions. None if no step was taken."""
        return self._polls.step or self._acknowledgements.step

    def accepted(self) -> None:
        """Record that Web Services accepted an operation."""
        self._acknowledgements.accepted()

    def delivered(self, *, acknowledgement: bool) -> None:
        """Record a delivery of events. `acknowledgement` is True if it contains an acknowledgement for any client."""
        if acknowledgement:
            self._acknowledgements.acknowledged()
        else:
            self._acknowledgements.delivered()

    def opened(self) -> None:
        """Record a new or resumed session. Acknowledgements that were missing before are forgotten."""
        self._acknowledgements.not_listening()

    async def run(self, session: Callable[[], CometdSession | None]) -> None:
        """Watch until cancelled. `session` returns the current session, None before the first."""
        while True:
            await asyncio.sleep(self._tick)
            watched = session()
            if watched is not None:
                for step, reason in self._due(watched.status):
                    await self._do(step, reason, watched)

    def _due(self, status: SessionStatus) -> list[tuple[Remedy, str]]:
        if status.state is State.CONNECTED and self._clock() > status.reply_due_at:
            self._polls.stuck()
        else:
            self._polls.turned()
        if not _listens(status):
            self._acknowledgements.not_listening()
        steps = [(self._polls.due(), "poll-stuck"), (self._acknowledgements.due(), "no-acknowledgement")]
        return [(step, reason) for step, reason in steps if step is not None]

    async def _do(self, step: Remedy, reason: str, session: CometdSession) -> None:
        log.warning("watchdog", account=self._account, step=step.value, reason=reason)
        metrics.cometd_watchdog_steps.labels(self._account, step.value).inc()
        if step is Remedy.PROBE:
            try:
                await session.probe()
            except (CometdError, UpstreamError) as failure:
                log.info("watchdog-probe-failed", account=self._account, error=failure.code)
        elif step is Remedy.REPOLL:
            session.repoll()
        else:
            session.give_up("watchdog")


def _listens(status: SessionStatus) -> bool:
    """Return whether an acknowledgement would arrive now if Web Services sent it now."""
    return status.connected and status.held < LONG_HOLD
