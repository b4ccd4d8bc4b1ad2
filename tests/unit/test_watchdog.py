"""Silences that no error tells of."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bridge.watchdog import LONGEST_PATIENCE, Silence, Step

PATIENCE = 30.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_steps_come_in_order_each_after_the_patience() -> None:
    """A silence is met with a probe, then a new poll, then a new session, one patience apart."""
    clock = Clock()
    silence = Silence(PATIENCE, clock)
    silence.expected()
    done = []
    for _ in range(3):
        clock.now += PATIENCE - 1
        assert silence.due() is None
        clock.now += 1
        done.append(silence.due())
        assert silence.due() is None
    assert done == [Step.PROBE, Step.REPOLL, Step.NEW_SESSION]


def test_an_answer_ends_the_silence() -> None:
    """After an answer nothing is due until something is expected again."""
    clock = Clock()
    silence = Silence(PATIENCE, clock)
    silence.expected()
    clock.now += PATIENCE
    assert silence.due() is Step.PROBE
    assert silence.step is Step.PROBE
    silence.heard()
    clock.now += 100 * PATIENCE
    assert silence.due() is None
    assert silence.step is None


def test_nothing_expected_is_no_silence() -> None:
    """A quiet site where nobody asks for anything is left alone."""
    clock = Clock()
    silence = Silence(PATIENCE, clock)
    clock.now += 1000 * PATIENCE
    assert silence.due() is None


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=300))
def test_new_sessions_become_rare_while_nothing_helps(waits: list[float]) -> None:
    """Each new session that did not help doubles the wait for the next, up to a bound: each costs a queue."""
    clock = Clock()
    silence = Silence(PATIENCE, clock)
    sessions = []
    for wait in waits:
        silence.expected()
        clock.now += wait * PATIENCE
        if silence.due() is Step.NEW_SESSION:
            sessions.append(clock.now)
    gaps = [later - earlier for earlier, later in itertools.pairwise(sessions)]
    for index, gap in enumerate(gaps):
        assert gap >= PATIENCE * 3 * min(2 ** (index + 1), LONGEST_PATIENCE)
