"""What the server advises: how long it parks a poll, how long to wait, and what to do after a failure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

MILLISECONDS: Final = 1000
PARKED: Final = 30.0
"""Seconds: CometD's default of `advice.timeout`."""
LONGEST_INTERVAL: Final = 10.0
"""Seconds between two polls at the most. That is CometD's default of maxInterval: a server that asks for a longer pause
asks for what makes it drop its own session, and every event would wait for so long."""
LONGEST_TIMEOUT: Final = 300.0
"""Seconds that a poll may be parked at the most, or a poll that hangs would never meet its deadline."""
SHORTEST_MAX_INTERVAL, LONGEST_MAX_INTERVAL = 1.0, 120.0
"""Seconds. A third of it is the pause between two signs of life, and a quarter of it the longest pause after failed
polls: neither may become a storm or a standstill."""


class Reconnect(StrEnum):
    """The three values of `advice.reconnect` (Bayeux 1.0)."""

    RETRY = "retry"
    HANDSHAKE = "handshake"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Advice:
    """One advice, in seconds (the wire has milliseconds). Newer advice replaces older advice as a whole."""

    reconnect: Reconnect = Reconnect.RETRY
    interval: float = 0.0
    """To wait before the next poll."""
    timeout: float = PARKED
    """How long the server parks a poll."""
    max_interval: float | None = None
    """How long the server keeps a silent session; only newer servers tell."""
    multiple_clients: bool = False
    """The server saw two sessions with one BAYEUX_BROWSER cookie and no longer parks polls."""
    out_of_bounds: bool = False
    """The server gave a time that is negative or out of bounds. A bound or the default replaces it."""

    @classmethod
    def of(cls, reply: dict[str, Any]) -> Self | None:
        """Read the advice of a reply, the long-polling part over the general one; None where it has none."""
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
            multiple_clients=advice.get("multiple-clients") is True,
            out_of_bounds=taken != told,
        )


def _seconds(milliseconds: object) -> float | None:
    """Return the seconds of a field, None where it has none; infinity where the number has no float."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return milliseconds / MILLISECONDS
    except OverflowError:
        return math.inf if milliseconds > 0 else -math.inf


def _within(seconds: float | None, least: float, most: float) -> float | None:
    """Return the seconds, or the bound that they pass; None where they say nothing, as a negative time does."""
    return None if seconds is None or not seconds >= 0 else min(max(seconds, least), most)
