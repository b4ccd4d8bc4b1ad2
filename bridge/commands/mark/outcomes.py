"""What can become of a row."""

from __future__ import annotations

from typing import Final, NamedTuple

ACKNOWLEDGED: Final = "acknowledged"
REJECTED: Final = "rejected"
TIMED_OUT: Final = "timed-out"
UNDELIVERED: Final = "undelivered"
INVALID: Final = "invalid"
DUPLICATE: Final = "duplicate"
PENDING: Final = frozenset({"requested", "accepted"})
OUTCOMES: Final = (ACKNOWLEDGED, "accepted", "requested", REJECTED, TIMED_OUT, UNDELIVERED, INVALID, DUPLICATE)
"""In the order in which they are told."""
PASSING: Final = PENDING | {UNDELIVERED}
"""A next run goes on with these by itself."""
NOT_SENT: Final = frozenset({INVALID, DUPLICATE})
GOOD: Final = frozenset({ACKNOWLEDGED, DUPLICATE})
"""A duplicate's record is that of an earlier row."""


class Outcome(NamedTuple):
    """What became of a row; `status` is one of `OUTCOMES`.

    `reason` is a stable word: the problem's code, or why the row is invalid. `detail` is for a person, with Web
    Services' own words where it said no. Times are RFC 3339.
    """

    status: str
    reason: str = ""
    detail: str = ""
    acknowledgement_id: str = ""
    submitted_at: str = ""
    ended_at: str = ""
