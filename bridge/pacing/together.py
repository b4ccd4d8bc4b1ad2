"""Lets the tasks of many accounts wake up at the same moments."""

from __future__ import annotations

from typing import Final

APART: Final = 0.05
"""Seconds between two moments at which tasks wake up together."""
SHORTEST: Final = 10 * APART
"""Seconds. A shorter wait would lose too much of its length."""


def wait_together(seconds: float, since: float) -> float:
    """Shorten a wait of `seconds` that begins at `since` (monotonic clock), so that it ends together with other waits.

    The result is at most `APART` shorter and never longer. Waits of less than `SHORTEST` seconds stay as they are. An
    idle process with 1,000 accounts needs a third less CPU time if its tasks wake up together.
    """
    return seconds if seconds < SHORTEST else seconds - (since + seconds) % APART
