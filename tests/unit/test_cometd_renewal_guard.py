from bisect import bisect_left
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd.renewal_guard import LIVED, RenewalGuard

CAP: Final = 30.0
MOST_IN_A_MINUTE: Final = 10
"""0, then after 0.125, 0.25, 0.5, 1, 2, 4, 8, 15, 15 s: with the least jitter the eleventh comes after 60 s."""

JITTER = st.floats(0, 1, exclude_max=True)
LIVES = st.none() | st.floats(0, 200)
"""How a handshake ends: None fails, a number succeeds and the session lives for so many seconds."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def handshakes(lives: list[float | None], jitter: float) -> list[float]:
    """The times of the handshakes, where each is tried as soon as the guard allows."""
    clock = Clock()
    guard = RenewalGuard(cap=CAP, clock=clock, jitter=lambda: jitter)
    times = []
    for life in lives:
        clock.now += guard.delay()
        times.append(clock.now)
        if life is not None:
            guard.opened()
            clock.now += life
    return times


@given(jitter=JITTER)
def test_the_first_handshake_is_free(jitter: float) -> None:
    """The first handshake goes out at once, the second does not."""
    guard = RenewalGuard(cap=CAP, clock=Clock(), jitter=lambda: jitter)
    assert guard.delay() == 0.0
    assert guard.delay() > 0.0


@given(lives=st.lists(LIVES, max_size=60), jitter=JITTER)
def test_the_rate_of_handshakes(lives: list[float | None], jitter: float) -> None:
    """No minute has more than ten handshakes, however they end and however long the sessions live."""
    times = handshakes(lives, jitter)
    for index, start in enumerate(times):
        assert bisect_left(times, start + 60.0) - index <= MOST_IN_A_MINUTE


@given(st.lists(st.none() | st.floats(0, LIVED - 0.001), min_size=8, max_size=30), JITTER)
def test_sessions_that_die_young(lives: list[float | None], jitter: float) -> None:
    """While no session lives for a minute the delays only grow, to between half the cap and the cap."""
    times = handshakes([*lives, None], jitter)
    delays = [
        later - earlier - (life or 0.0) for earlier, later, life in zip(times[:-1], times[1:], lives, strict=True)
    ]
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(delays))
    assert CAP / 2 - 1e-6 <= delays[-1] <= CAP + 1e-6


@given(before=st.lists(st.none() | st.floats(0, 10), max_size=20), life=st.floats(LIVED, 1e6), jitter=JITTER)
def test_a_session_that_lived(before: list[float | None], life: float, jitter: float) -> None:
    """After a session of a minute or more the next handshake is immediate, and the delays start over."""
    times = handshakes([*before, life + 0.001, None, None], jitter)
    assert times[-2] == pytest.approx(times[-3] + life + 0.001)
    assert times[-1] - times[-2] == pytest.approx(0.25 * (0.5 + 0.5 * jitter), abs=1e-6)


def test_a_life_counts_once() -> None:
    """A failed handshake after a long life does not profit from that life again."""
    clock = Clock()
    guard = RenewalGuard(cap=CAP, clock=clock, jitter=lambda: 1.0)
    guard.delay()
    guard.opened()
    clock.now += LIVED
    delays = []
    for _ in range(3):
        delays.append(guard.delay())
        clock.now += LIVED
    assert delays == [0.0, 0.25, 0.5]
