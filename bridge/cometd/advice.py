"""The server's advice: how long a poll waits for events, the pause between polls, and the action after a failure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

MILLISECONDS: Final = 1000
PARKED: Final = 30.0
"""Seconds that the server parks a poll (holds it until there are events). CometD's default of `advice.timeout`."""
LONGEST_INTERVAL: Final = 10.0
"""Longest pause between two polls, in seconds. After a longer pause a CometD server with the default maxInterval would
drop the session."""
LONGEST_TIMEOUT: Final = 300.0
"""Longest time that a poll may be parked, in seconds. Without this bound a hanging poll could have no deadline."""
SHORTEST_MAX_INTERVAL, LONGEST_MAX_INTERVAL = 1.0, 120.0
"""Bounds for the server's maxInterval, in seconds. The pauses of heartbeats and retries depend on maxInterval."""


class Reconnect(StrEnum):
    """The three values of `advice.reconnect` (Bayeux 1.0)."""

    RETRY = "retry"
    HANDSHAKE = "handshake"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Advice:
    """The advice of one reply. All times are in seconds (Bayeux has milliseconds). New advice replaces older advice."""

    reconnect: Reconnect = Reconnect.RETRY
    interval: float = 0.0
    """The pause before the next poll."""
    timeout: float = PARKED
    """How long the server parks a poll."""
    max_interval: float | None = None
    """How long the server keeps a session without messages. Older servers don't send this field."""
    out_of_bounds: bool = False
    """Whether the server sent a negative or excessive time, which a bound or the default has replaced."""

    @classmethod
    def of(cls, reply: dict[str, Any]) -> Self | None:
        """Return the advice of a reply, or None. Fields of `advice.long-polling` win over fields of `advice`."""
        advice = reply.get("advice")
        if not isinstance(advice, dict):
            return None
        own = advice.get("long-polling")
        if isinstance(own, dict):
            advice = {**advice, **own}
        try:
            reconnect = Reconnect(advice.get("reconnect", Reconnect.RETRY))
        except ValueError:
            reconnect = Reconnect.RETRY
        interval = _seconds(advice.get("interval"))
        if interval is not None and interval < 0:  # "negative: do not retry" (CometD)
            reconnect, interval = Reconnect.NONE, 0.0
        told = (interval, _seconds(advice.get("timeout")), _seconds(advice.get("maxInterval")))
        taken = (
            _within(told[0], 0.0, LONGEST_INTERVAL),
            _within(told[1], 0.0, LONGEST_TIMEOUT),
            _within(told[2], SHORTEST_MAX_INTERVAL, LONGEST_MAX_INTERVAL),
        )
        interval, timeout, max_interval = taken
        return cls(
            reconnect=reconnect,
            interval=0.0 if interval is None else interval,
            timeout=PARKED if timeout is None else timeout,
            max_interval=max_interval,
            out_of_bounds=taken != told,
        )


def _seconds(milliseconds: object) -> float | None:
    """Return the field in seconds, None if the field is no number, infinity if the number is too large for a float."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return milliseconds / MILLISECONDS
    except OverflowError:
        return math.inf if milliseconds > 0 else -math.inf


def _within(seconds: float | None, least: float, most: float) -> float | None:
    """Return the seconds, limited to the bounds. Return None for None, NaN and a negative time."""
    return None if seconds is None or not seconds >= 0 else min(max(seconds, least), most)
