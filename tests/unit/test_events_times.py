from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import rfc3339, rfc3339_milliseconds


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_268_800.123, "2026-01-01T12:00:00.123Z"),
        (1_767_268_799.9996, "2026-01-01T12:00:00.000Z"),
        (253_402_300_799.999, "9999-12-31T23:59:59.999Z"),
        (1e308, "9999-12-31T23:59:59.999Z"),
        (float("inf"), "9999-12-31T23:59:59.999Z"),
        (-1.0, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_seconds_are_written_to_the_millisecond(seconds: float, expected: str) -> None:
    """Epoch seconds become RFC 3339 in UTC, rounded to milliseconds; beyond its years, the nearest moment."""
    assert rfc3339(seconds) == expected


@given(st.integers(0, 253_402_300_799_999))
def test_a_written_time_reads_back_as_itself(milliseconds: int) -> None:
    """What is written is the same instant, and always 24 characters."""
    written = rfc3339_milliseconds(milliseconds)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert datetime.fromisoformat(written) == epoch + timedelta(milliseconds=milliseconds)
    assert len(written) == 24


@pytest.mark.parametrize("milliseconds", [-1, 253_402_300_800_000, 2**63])
def test_no_time_of_four_digit_years_is_refused(milliseconds: int) -> None:
    """A time that RFC 3339 can't write raises ValueError."""
    with pytest.raises(ValueError, match="year 9999"):
        rfc3339_milliseconds(milliseconds)
