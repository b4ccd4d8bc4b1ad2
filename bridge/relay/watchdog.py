"""Notices a session that looks connected and brings nothing, and acts in three steps.

Two silences are possible: the poll loop does not turn, or Web Services accepts operations and acknowledges none of them
(the session is subscribed to something that no longer exists on the server). The steps are: ask the server (`probe`),
poll anew with all subscriptions (`repoll`), open a new session (`new-session`). The first two cost nothing and come
early. A new session costs whatever the server has queued in the old one, so it needs strong evidence
(`MissingAcknowledgements`), and it comes less often each time: the fault may well lie behind Web Services, where no
session helps.
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
"""The most by which the times grow while new sessions do not help."""
ENOUGH: Final = 5
"""Operations without an acknowledgement that a new session needs as evidence."""
APART: Final = 60.0
"""Seconds between two of these operations at the least: a burst that one fault swallowed counts as one operation."""
STUCK: Final = 30.0
"""Seconds between two steps about a poll that does not end."""
LONG_HOLD: Final = 1.0
"""Seconds: a batch that is held for longer keeps the replies behind it away, and so the acknowledgements in them."""
LONGEST_TICK: Final = 5.0
log = structlog.get_logger(__name__)


class Remedy(StrEnum):
    """What is done about a silence, in this order."""

    PROBE = "probe"
    REPOLL = "repoll"
    NEW_SESSION = "new-session"


class StuckPoll:
    """When which step is due about a poll that does not end: one each `patience`. Times and clock are in seconds."""

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._factor = 1
        self._next = 0
        self._since: float | None = None

    @property
    def step(self) -> Remedy | None:
        """The newest step done about the present silence."""
        return list(Remedy)[self._next - 1] if self._next else None

    def stuck(self) -> None:
        """Note that the poll has not ended, although its deadline is over."""
        if self._since is None:
            self._since = self._clock()

    def turned(self) -> None:
        """Note that the poll loop turns: there is no silence."""
        self._since, self._next, self._factor = None, 0, 1

    def due(self) -> Remedy | None:
        """Return the step that is due now, once; None while there is none."""
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
    """When which step is due about operations without an acknowledgement. Times and clock are in seconds.

    `patience` is how long an acknowledgement may take.

    - `probe` is due when one operation has waited for `patience`, `repoll` a `patience` later. Each comes once.
    - `new-session` is due when `ENOUGH` operations have each waited for `patience`, accepted at least `APART` from one
      another, the last of them after the `repoll`, and nothing at all has arrived since the first of them.

    An acknowledgement ends the silence. Any other event that arrives shows that the session delivers: it takes all
    evidence for a new session away. So does a time in which the session did not listen (polls failed, Kafka was away),
    because an acknowledgement may wait on the server then. After each new session all times are twice as long, up to
    `LONGEST_PATIENCE` times, until an acknowledgement comes.
    """

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._factor = 1
        self._oldest: float | None = None
        """When the oldest operation of this silence was accepted."""
        self._step_at = 0.0
        self._done: Remedy | None = None
        self._evidence: list[float] = []
        """When the operations that count for a new session were accepted: `ENOUGH` at the most."""

    @property
    def step(self) -> Remedy | None:
        """The newest step done about the present silence."""
        return self._done

    def accepted(self) -> None:
        """Note that Web Services accepted an operation, whose acknowledgement comes over CometD."""
        now = self._clock()
        if self._oldest is None:
            self._oldest = now
        if self._evidence and now - self._evidence[-1] < APART * self._factor:
            return
        before_the_last = len(self._evidence) < ENOUGH - 1
        if before_the_last or (len(self._evidence) < ENOUGH and self._done is Remedy.REPOLL):
            self._evidence.append(now)

    def acknowledged(self) -> None:
        """Note an acknowledgement, whoever asked for it: there is no silence."""
        self._begin_anew()
        self._factor = 1

    def delivered(self) -> None:
        """Note an event that is no acknowledgement: the session delivers."""
        self._evidence.clear()

    def not_listening(self) -> None:
        """Note that acknowledgements could not arrive just now, or that the session is a new one."""
        self._begin_anew()

    def due(self) -> Remedy | None:
        """Return the step that is due now, once; None while there is none."""
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
    """Watches one account's session. It is told of each accepted operation, and of what the session brings."""

    def __init__(self, account: str, patience: float) -> None:
        self._account = account
        self._tick = min(patience / 4, LONGEST_TICK)
        self._acknowledgements = MissingAcknowledgements(patience)
        self._polls = StuckPoll(STUCK)

    @property
    def step(self) -> Remedy | None:
        """The newest step done about a present silence, for GET /sessions."""
        return self._polls.step or self._acknowledgements.step

    def accepted(self) -> None:
        """Note that Web Services accepted an operation."""
        self._acknowledgements.accepted()

    def delivered(self, *, acknowledgement: bool) -> None:
        """Note that events came, and whether an acknowledgement, whoever asked for it, is among them."""
        if acknowledgement:
            self._acknowledgements.acknowledged()
        else:
            self._acknowledgements.delivered()

    def opened(self) -> None:
        """Note that a session begins: what the one before did not bring says nothing of it."""
        self._acknowledgements.not_listening()

    async def run(self, session: Callable[[], CometdSession | None]) -> None:
        """Watch for ever; `session` gives the present session, None before the first."""
        while True:
            await asyncio.sleep(self._tick)
            watched = session()
            if watched is not None:
                for step, reason in self._due(watched.status):
                    await self._do(step, reason, watched)

    def _due(self, status: SessionStatus) -> list[tuple[Remedy, str]]:
        if status.state is State.CONNECTED and time.monotonic() > status.reply_due_at:
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
    """Tell whether an acknowledgement that Web Services sends now would arrive now."""
    held = 0.0 if status.held_since is None else time.time() - status.held_since
    return status.connected and held < LONG_HOLD
