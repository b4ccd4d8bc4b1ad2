"""Notices a silence that no error tells of, and does something about it, one step after the other.

Two silences are possible: the poll loop does not turn, or Web Services accepts operations and acknowledges none of them
any more (the session is subscribed to something that no longer exists on the server). Each step gets as long as an
acknowledgement may take: ask the server (`probe`), poll anew with all subscriptions (`repoll`), open a new session
(`new-session`). The last costs whatever the server has queued, so it comes less often each time: the fault may well lie
behind Web Services, where no session helps.
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

    from bridge.cometd import CometdSession

LONGEST_PATIENCE: Final = 64
log = structlog.get_logger(__name__)


class Step(StrEnum):
    """What is done about a silence, in this order."""

    PROBE = "probe"
    REPOLL = "repoll"
    NEW_SESSION = "new-session"


class Silence:
    """When which step is due: pure rules. `patience` and the clock are in seconds."""

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._factor = 1
        self._next = 0
        self._since: float | None = None

    @property
    def step(self) -> Step | None:
        """The newest step done about the present silence."""
        return list(Step)[self._next - 1] if self._next else None

    def expected(self) -> None:
        """Note that something was asked for whose answer comes over CometD."""
        if self._since is None:
            self._since = self._clock()

    def heard(self) -> None:
        """Note an answer: there is no silence."""
        self._since, self._next, self._factor = None, 0, 1

    def due(self) -> Step | None:
        """Return the step that is due now, once; None while there is none."""
        if self._since is None or self._clock() - self._since < self._patience * self._factor:
            return None
        step = list(Step)[self._next]
        self._since = self._clock()
        self._next += 1
        if step is Step.NEW_SESSION:
            self._since, self._next = None, 0
            self._factor = min(2 * self._factor, LONGEST_PATIENCE)
        return step


class Watchdog:
    """Watches one account's session. Told of each accepted operation, and of each acknowledgement that came."""

    def __init__(self, account: str, patience: float) -> None:
        self._account = account
        self._patience = patience
        self._acknowledgements = Silence(patience)
        self._turns = Silence(patience)

    @property
    def step(self) -> Step | None:
        """The newest step done about a present silence, for GET /sessions."""
        return self._turns.step or self._acknowledgements.step

    def accepted(self) -> None:
        """Note that Web Services accepted an operation."""
        self._acknowledgements.expected()

    def acknowledged(self) -> None:
        """Note that an acknowledgement came, whoever asked for it."""
        self._acknowledgements.heard()

    async def run(self, session: Callable[[], CometdSession | None]) -> None:
        """Watch for ever; `session` gives the present session, None before the first."""
        while True:
            await asyncio.sleep(self._patience / 4)
            watched = session()
            if watched is None:
                continue
            if watched.status.state is State.CONNECTED and time.time() > watched.status.reply_due_at:
                self._turns.expected()
            else:
                self._turns.heard()
            for silence, reason in ((self._turns, "poll-stuck"), (self._acknowledgements, "no-acknowledgement")):
                step = silence.due()
                if step is not None:
                    await self._do(step, reason, watched)

    async def _do(self, step: Step, reason: str, session: CometdSession) -> None:
        log.warning("watchdog", account=self._account, step=step.value, reason=reason)
        metrics.cometd_watchdog_steps.labels(self._account, step.value).inc()
        if step is Step.PROBE:
            try:
                await session.probe()
            except (CometdError, UpstreamError) as failure:
                log.info("watchdog-probe-failed", account=self._account, error=failure.code)
        elif step is Step.REPOLL:
            session.repoll()
        else:
            session.give_up("watchdog")
