"""The format of times in published events: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

import time
from functools import lru_cache

MILLISECONDS_PER_SECOND = 1000
_END = 253_402_300_800_000
"""1 January of the year 10000, in milliseconds since the epoch. RFC 3339 has four digits for the year."""
_LAST = (_END - 1) / MILLISECONDS_PER_SECOND
_FRACTIONS = tuple(f".{millisecond:03d}Z" for millisecond in range(MILLISECONDS_PER_SECOND))


@lru_cache(maxsize=256)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def rfc3339(seconds: float) -> str:
    """Format a time in seconds since the epoch as `2026-01-01T12:00:00.123Z`.

    A time before 1970 becomes 1970, and a time after the year 9999 becomes the end of 9999. So a clock that is wrong
    loses no events.
    """
    return rfc3339_milliseconds(round(min(max(seconds, 0.0), _LAST) * MILLISECONDS_PER_SECOND))


def rfc3339_milliseconds(milliseconds: int) -> str:
    """Format a time in milliseconds since the epoch as `2026-01-01T12:00:00.123Z`.

    Raises:
        ValueError: the time is before 1970 or after the year 9999.
    """
    if not 0 <= milliseconds < _END:
        raise ValueError("the time is before 1970 or after the year 9999")
    second, fraction = divmod(milliseconds, MILLISECONDS_PER_SECOND)
    return _second(second) + _FRACTIONS[fraction]
