"""Silences that no error tells of, and what is done about them."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd import SessionStatus, State
from bridge.relay.watchdog import (
    APART,
    ENOUGH,
    LONG_HOLD,
    LONGEST_PATIENCE,
    LONGEST_TICK,
    STUCK,
    MissingAcknowledgements,
    Remedy,
    StuckPoll,
    Watchdog,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import pytest

PATIENCE = 30.0
TICK = PATIENCE / 4


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    """Operations, events and the watchdog's clock; `steps` is what was done, with the time of each step."""

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.silence = MissingAcknowledgements(PATIENCE, self.clock)
        self.steps: list[tuple[float, Remedy]] = []

    def wait(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(until, self.clock.now + TICK)
            step = self.silence.due()
            if step is not None:
                self.steps.append((self.clock.now, step))

    @property
    def done(self) -> list[Remedy]:
        return [step for _, step in self.steps]

    @property
    def new_sessions(self) -> list[float]:
        return [at for at, step in self.steps if step is Remedy.NEW_SESSION]


def test_one_operation_never_costs_a_session() -> None:
    """One operation without an acknowledgement leads to a probe and a new poll, and to nothing more in a week."""
    site = Site()
    site.silence.accepted()
    site.wait(PATIENCE - 1)
    assert site.done == []
    site.wait(1)
    assert site.done == [Remedy.PROBE]
    site.wait(PATIENCE)
    assert site.done == [Remedy.PROBE, Remedy.REPOLL]
    site.wait(7 * 24 * 3600)
    assert site.done == [Remedy.PROBE, Remedy.REPOLL]
    assert site.silence.step is Remedy.REPOLL


def test_a_burst_is_one_operation() -> None:
    """A thousand operations that one fault swallowed at once are no evidence against the session."""
    site = Site()
    for _ in range(1000):
        site.silence.accepted()
        site.wait(APART / 1001)
    site.wait(3600)
    assert Remedy.NEW_SESSION not in site.done


def test_several_operations_over_minutes_cost_the_session() -> None:
    """A session that brings nothing, while operations are accepted over minutes, is replaced within six minutes."""
    site = Site()
    began = site.clock.now
    while not site.new_sessions:
        site.silence.accepted()
        site.wait(20)
    assert site.done == [Remedy.PROBE, Remedy.REPOLL, Remedy.NEW_SESSION]
    assert (ENOUGH - 1) * APART + PATIENCE <= site.new_sessions[0] - began <= 360
    assert site.silence.step is None


def test_any_event_shows_that_the_session_delivers() -> None:
    """While events come, if only one in four minutes, missing acknowledgements never cost the session."""
    site = Site()
    for minute in range(600):
        site.silence.accepted()
        site.wait(60)
        if minute % 4 == 3:
            site.silence.delivered()
    assert site.done == [Remedy.PROBE, Remedy.REPOLL]


def test_an_acknowledgement_ends_the_silence() -> None:
    """After an acknowledgement nothing is due until another operation has waited for its own."""
    site = Site()
    site.silence.accepted()
    site.wait(PATIENCE)
    site.silence.acknowledged()
    assert site.silence.step is None
    site.wait(100 * PATIENCE)
    assert site.done == [Remedy.PROBE]


def test_nothing_accepted_is_no_silence() -> None:
    """A quiet site where nobody asks for anything is left alone."""
    site = Site()
    site.wait(1000 * PATIENCE)
    assert site.done == []


def test_a_time_without_listening_is_no_evidence() -> None:
    """Acknowledgements that wait on the server while Kafka or the network is away say nothing of the session."""
    site = Site()
    for _ in range(600):
        site.silence.accepted()
        site.wait(TICK)
        site.silence.not_listening()
    assert site.done == []


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["accepted", "accepted", "accepted", "accepted", "delivered", "acknowledged", "not_listening"]),
        st.floats(0, 4 * APART),
    ),
    max_size=80,
)


@given(ACTIONS)
def test_a_new_session_has_its_evidence(actions: list[tuple[str, float]]) -> None:
    """Before each new session enough operations waited, apart from one another, and nothing at all had arrived."""
    site = Site()
    accepted: list[float] = []
    for action, pause in actions:
        getattr(site.silence, action)()
        accepted = [*accepted, site.clock.now] if action == "accepted" else []
        before = len(site.new_sessions)
        site.wait(pause)
        for at in site.new_sessions[before:]:
            assert len(list(_apart(accepted))) >= ENOUGH
            assert at - accepted[0] >= (ENOUGH - 1) * APART + PATIENCE
            accepted = []


def _apart(times: list[float]) -> Iterator[float]:
    last = None
    for one in times:
        if last is None or one - last >= APART:
            last = one
            yield one


@given(ACTIONS)
def test_steps_come_in_order(actions: list[tuple[str, float]]) -> None:
    """Each new session follows a probe and a new poll, and none of the three comes twice without the others."""
    site = Site()
    for action, pause in actions:
        getattr(site.silence, action)()
        site.wait(pause)
    for step, after in itertools.pairwise([Remedy.NEW_SESSION, *site.done]):
        if after is Remedy.NEW_SESSION:
            assert step is Remedy.REPOLL
        if after is Remedy.REPOLL:
            assert step is Remedy.PROBE


@given(st.lists(st.floats(1, 10 * APART), min_size=1, max_size=300))
def test_new_sessions_become_rare_while_nothing_helps(waits: list[float]) -> None:
    """Each new session that did not help doubles the wait for the next, up to a bound: each costs a queue."""
    site = Site()
    for wait in waits:
        site.silence.accepted()
        site.wait(wait)
    gaps = [later - earlier for earlier, later in itertools.pairwise(site.new_sessions)]
    for index, gap in enumerate(gaps):
        assert gap >= ((ENOUGH - 1) * APART + PATIENCE) * min(2 ** (index + 1), LONGEST_PATIENCE)


def test_a_stuck_poll() -> None:
    """A poll that does not end is met with a probe, then a new poll, then a new session, one patience apart."""
    clock = Clock()
    stuck = StuckPoll(PATIENCE, clock)
    stuck.stuck()
    done = []
    for _ in range(3):
        clock.now += PATIENCE - 1
        assert stuck.due() is None
        clock.now += 1
        done.append(stuck.due())
        assert stuck.due() is None
    assert done == [Remedy.PROBE, Remedy.REPOLL, Remedy.NEW_SESSION]
    stuck.turned()
    clock.now += 1000 * PATIENCE
    assert stuck.due() is None


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=300))
def test_a_poll_that_stays_stuck(waits: list[float]) -> None:
    """New sessions because of a stuck poll become rare as well."""
    clock = Clock()
    stuck = StuckPoll(PATIENCE, clock)
    sessions = []
    for wait in waits:
        stuck.stuck()
        clock.now += wait * PATIENCE
        if stuck.due() is Remedy.NEW_SESSION:
            sessions.append(clock.now)
    for index, (earlier, later) in enumerate(itertools.pairwise(sessions)):
        assert later - earlier >= PATIENCE * 3 * min(2 ** (index + 1), LONGEST_PATIENCE)


class Watched:
    """A watchdog with a session whose state the test sets, and with a clock that only `wait` moves."""

    def __init__(self, status: SessionStatus) -> None:
        self.clock = Clock()
        self.watchdog = Watchdog("agent", PATIENCE, self.clock)
        self.status = status
        self.steps: list[Remedy] = []
        self._asleep = asyncio.Event()
        self._wakes_at = 0.0
        self._wake: asyncio.Future[None] | None = None

    async def probe(self) -> None:
        self.steps.append(Remedy.PROBE)

    def repoll(self) -> None:
        self.steps.append(Remedy.REPOLL)

    def give_up(self, reason: str) -> None:
        assert reason == "watchdog"
        self.steps.append(Remedy.NEW_SESSION)

    async def sleep(self, seconds: float) -> None:
        """Sleep as `asyncio.sleep` does, by the test's clock."""
        self._wakes_at, self._wake = self.clock.now + seconds, asyncio.get_running_loop().create_future()
        self._asleep.set()
        await self._wake

    async def wait(self, seconds: float) -> None:
        """Let the time pass. Return when the watchdog has done all that is due by then."""
        until = self.clock.now + seconds
        await self._asleep.wait()
        while self._wakes_at <= until:
            assert self._wake is not None
            self.clock.now = self._wakes_at
            self._asleep.clear()
            self._wake.set_result(None)
            await self._asleep.wait()
        self.clock.now = until


@asynccontextmanager
async def watched(monkeypatch: pytest.MonkeyPatch, **status: Any) -> AsyncIterator[Watched]:
    """Run a watchdog over a session in this state."""
    site = Watched(SessionStatus(**status))
    monkeypatch.setattr("bridge.relay.watchdog.asyncio", SimpleNamespace(sleep=site.sleep))
    running = asyncio.create_task(site.watchdog.run(lambda: site))  # type: ignore[arg-type, return-value]
    try:
        yield site
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_an_outage_of_kafka_never_costs_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a batch is held, accepted operations can't be acknowledged: the watchdog leaves the session alone."""
    async with watched(monkeypatch, state=State.HOLDING, held_from=time.monotonic() - LONG_HOLD) as site:
        for _ in range(1000):
            site.watchdog.accepted()
            await site.wait(TICK)
        assert site.steps == []
        site.status.state, site.status.held_from = State.CONNECTED, None
        site.watchdog.accepted()
        await site.wait(PATIENCE + TICK)
        assert site.steps == [Remedy.PROBE]


async def test_a_clock_that_is_set_anew_is_no_stuck_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """A jump of the wall clock by a day does not make a parked poll look stuck."""
    async with watched(monkeypatch, state=State.CONNECTED) as site:
        site.status.reply_due_at = site.clock.now + 40
        wall = time.time() + 24 * 3600
        monkeypatch.setattr("time.time", lambda: wall)
        await site.wait(40)
        assert (site.steps, site.watchdog.step) == ([], None)
        await site.wait(STUCK)
        assert site.steps == []
        await site.wait(2 * LONGEST_TICK)
        assert (site.steps, site.watchdog.step) == ([Remedy.PROBE], Remedy.PROBE)


async def test_a_new_session_starts_without_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the session before did not bring says nothing of the one that has just been opened."""
    async with watched(monkeypatch, state=State.CONNECTED) as site:
        for _ in range(13):
            site.watchdog.accepted()
            await site.wait(20)
        assert site.steps == [Remedy.PROBE, Remedy.REPOLL]
        site.watchdog.opened()
        site.watchdog.accepted()
        await site.wait(3600)
        assert site.steps == [Remedy.PROBE, Remedy.REPOLL] * 2
        assert site.watchdog.step is Remedy.REPOLL
        site.watchdog.delivered(acknowledgement=True)
        assert site.watchdog.step is None
