"""Sends rows to the bridge. Limits the rows per second and the rows in parallel, and repeats failed requests."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from bridge.commands.mark.client import NO_ANSWER, TryAgain
from bridge.commands.mark.entries import reference_of
from bridge.commands.mark.results import ACKNOWLEDGED, PENDING, UNDELIVERED, Outcome
from bridge.commands.mark.work import Ask, Known, Send
from bridge.errors import CommandFailed
from bridge.events import rfc3339
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping

    from bridge.commands.mark.client import BridgeClient
    from bridge.commands.mark.entries import Entry
    from bridge.commands.mark.report import Report
    from bridge.commands.mark.results import Results

Answer = TypeVar("Answer")

MOST_DELIVERIES: Final = 5
"""Maximum number of failed deliveries of one row in a run. After these the row is `undelivered`, and the next run sends
it again."""
KNOWN_AT_ONCE: Final = 100
"""Number of rows with a known outcome that are counted without letting other tasks run."""


class Pace:
    """Limits the requests of all rows to `rate` per second (None: no limit), and can pause all requests."""

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 0.0 if rate is None else 1 / rate
        self._clock = clock
        self._next = 0.0

    def delay(self) -> float:
        """Reserve the time of the next request, and return the seconds until then."""
        now = self._clock()
        at = max(self._next, now)
        self._next = at + self._gap
        return at - now

    def hold(self, seconds: float) -> None:
        """Let no new request start for `seconds`."""
        self._next = max(self._next, self._clock() + seconds)


class Patience:
    """Ends a run after `seconds` without a usable answer. In each outage, prints once that the run waits."""

    def __init__(self, seconds: float, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._say = say
        self._clock = clock
        self._usable = clock()
        self._waiting = False

    def answered(self) -> None:
        """Record that a request got a usable answer."""
        self._usable = self._clock()
        if self._waiting:
            self._waiting = False
            self._say("the bridge answers again")

    def failed(self, error: TryAgain) -> None:
        """Record that a request got no usable answer.

        Raises:
            CommandFailed: there was no usable answer for `seconds`.
        """
        if self._clock() - self._usable > self._seconds:
            raise CommandFailed(
                f"given up after {self._seconds:g} s without a usable answer: {error}; run the same command again "
                "to go on"
            )
        if not self._waiting and not error.crowded:
            self._waiting = True
            self._say(f"{error}; trying again for up to {self._seconds:g} s")


class Sender:
    """Processes the items of a plan. Writes each new outcome to the results file, and counts each row."""

    def __init__(
        self,
        client: BridgeClient,
        results: Results,
        report: Report,
        *,
        job: str,
        pace: Pace,
        patience: Patience,
    ) -> None:
        self._client = client
        self._results = results
        self._report = report
        self._job = job
        self._pace = pace
        self._patience = patience
        self._ready = False
        self._asking = asyncio.Lock()
        """Held while one task asks whether the bridge is ready: at the start, and again after each outage."""

    async def run(self, work: Iterator[Send | Ask | Known], stop: asyncio.Event, *, concurrency: int) -> None:
        """Process all items, `concurrency` at a time, until the end or until `stop` is set.

        Raises:
            CommandFailed: the bridge refuses or does not answer, or the results file can't be written.
            UnusableInput: the list has changed since the earlier run.
        """
        workers = [asyncio.create_task(self._work_through(work)) for _ in range(concurrency)]
        stopping = asyncio.create_task(stop.wait())
        try:
            left = set(workers)
            while left and not stop.is_set():
                done, _ = await asyncio.wait({*left, stopping}, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopping}:
                    task.result()
                left -= done
        finally:
            for task in (*workers, stopping):
                task.cancel()
            await asyncio.gather(*workers, stopping, return_exceptions=True)

    async def _work_through(self, work: Iterator[Send | Ask | Known]) -> None:
        for passed, item in enumerate(work):
            if isinstance(item, Known):
                self._finish(item.row, 1, item.values, item.outcome, new=item.new)
                if passed % KNOWN_AT_ONCE == 0:
                    await asyncio.sleep(0)
            elif isinstance(item, Ask):
                await self._ask_again(item)
            else:
                await self._send(item)

    async def _ask_again(self, item: Ask) -> None:
        """Ask whether an operation that timed out in an earlier run has been acknowledged since then."""
        reference = reference_of(self._job, item.entry.row, item.attempt)
        with suppress(TryAgain):
            outcome = await self._answer(partial(self._client.outcome, reference))
            if outcome is not None and outcome.status == ACKNOWLEDGED:
                late = outcome._replace(ended_at=self._now())
                return self._finish(item.entry.row, item.attempt, item.entry.values, late, new=True)
        return self._finish(item.entry.row, item.attempt, item.entry.values, item.earlier, new=False)

    async def _send(self, item: Send) -> None:
        """Send one row, and record its outcome. If the run ends first, the last known outcome is recorded."""
        entry, submitted = item.entry, self._now()
        if item.attempt > 1 and not item.ask:
            begun = Outcome("requested", "requested", "sent again", submitted_at=submitted)
            self._results.append(entry.row, item.attempt, entry.values, begun)
        last: Outcome | None = None
        try:
            async with aclosing(self._outcomes(item)) as outcomes:
                async for outcome in outcomes:
                    last = outcome
        finally:
            if last is not None:
                timed = last._replace(submitted_at=submitted, ended_at=self._now())
                self._finish(entry.row, item.attempt, entry.values, timed, new=True)

    async def _outcomes(self, item: Send) -> AsyncGenerator[Outcome, None]:
        """Yield the outcome of a row's operation each time it is known, until it is final."""
        reference = reference_of(self._job, item.entry.row, item.attempt)
        ask, deliveries, pauses = item.ask, 0, Backoff(first=1.0, cap=5.0)
        while True:
            request = partial(self._client.outcome, reference) if ask else partial(self._hand_in, item.entry, reference)
            try:
                outcome = await self._answer(request)
            except TryAgain as error:
                deliveries += 1
                if deliveries == MOST_DELIVERIES:
                    yield Outcome(UNDELIVERED, error.reason, f"{error}; the next run sends it again")
                    return
                ask = False
                await asyncio.sleep(max(error.after or 0.0, pauses.next_delay()))
                continue
            ask = outcome is not None
            if outcome is not None:
                yield outcome
                if outcome.status not in PENDING:
                    return
                await asyncio.sleep(pauses.next_delay())

    async def _hand_in(self, entry: Entry, reference: str) -> Outcome | None:
        async with self._asking:
            if not self._ready:
                await self._answer(self._client.ready)
                self._ready = True
        await asyncio.sleep(self._pace.delay())
        return await self._client.submit(entry, reference)

    async def _answer(self, request: Callable[[], Awaitable[Answer]]) -> Answer:
        """Repeat a request until the bridge answers it.

        Raises:
            TryAgain: the bridge tried to deliver this row and failed.
            CommandFailed: there was no usable answer for the time that `Patience` allows, or the bridge refuses.
        """
        backoff = Backoff(first=0.5, cap=5.0)
        while True:
            try:
                answer = await request()
            except TryAgain as error:
                self._ready = self._ready and error.reason != NO_ANSWER
                self._patience.failed(error)
                if error.judged:
                    raise
                pause = max(error.after or 0.0, backoff.next_delay())
                if error.crowded:
                    self._pace.hold(pause)
                await asyncio.sleep(pause)
            else:
                self._patience.answered()
                return answer

    def _finish(self, row: int, attempt: int, values: Mapping[str, str], outcome: Outcome, *, new: bool) -> None:
        if new:
            self._results.append(row, attempt, values, outcome)
        self._report.count(row, outcome, new=new)

    def _now(self) -> str:
        return rfc3339(time.time())
