"""The delays between attempts."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.pacing import Backoff

CAP = 30.0


@given(
    first=st.floats(0.001, 10),
    cap=st.floats(0.001, 100),
    jitters=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=60),
)
def test_backoff_bounds(first: float, cap: float, jitters: list[float]) -> None:
    """The n-th delay lies between half of first·2ⁿ and all of it, and never over the cap, for any jitter."""
    draws = iter(jitters)
    backoff = Backoff(first=first, cap=cap, jitter=lambda: next(draws))
    for step in range(len(jitters)):
        full = min(cap, first * 2**step)
        assert full / 2 <= backoff.next_delay() <= full


def test_backoff_starts_over() -> None:
    """After a reset the first delay is the short one again."""
    backoff = Backoff(first=1.0, cap=CAP, jitter=lambda: 1.0)
    assert [backoff.next_delay() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next_delay() == 1.0


def test_backoff_after_a_long_time() -> None:
    """A count of attempts that no float could be a power of is no error."""
    backoff = Backoff(first=0.25, cap=CAP)
    assert all(backoff.next_delay() <= CAP for _ in range(3000))
