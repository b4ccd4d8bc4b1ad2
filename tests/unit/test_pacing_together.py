"""Waits that end at the same moments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.pacing.together import APART, SHORTEST, wait_together

MOMENTS = st.floats(0, 1e7)


@given(st.floats(0, 100), MOMENTS)
def test_a_wait_is_never_longer_than_asked(seconds: float, since: float) -> None:
    """A wait is shortened by `APART` at most, and never made longer: a sign of life must not come late."""
    assert seconds - APART <= wait_together(seconds, since) <= seconds


@given(st.floats(SHORTEST, 100), MOMENTS)
def test_waits_end_at_common_moments(seconds: float, since: float) -> None:
    """Waits of any length that begin at any time end at multiples of `APART`."""
    end = (since + wait_together(seconds, since)) / APART
    assert end == pytest.approx(round(end), abs=1e-5)


@given(st.floats(0, SHORTEST, exclude_max=True), MOMENTS)
def test_a_short_wait_keeps_its_length(seconds: float, since: float) -> None:
    """A wait of less than `SHORTEST` seconds is not changed, so that no loop runs without a pause."""
    assert wait_together(seconds, since) == seconds
