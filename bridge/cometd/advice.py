"""What the server advises: how long it parks a poll, how long to wait, and what to do after a failure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

MILLISECONDS: Final = 1000
PARKED: Final = 30.0
"""Seconds: CometD's default of `advice.timeout`."""


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

    @classmethod
    def of(cls, reply: dict[str, Any]) -> Self | None:
        """Read the advice of a reply, the long-polling part over the general one; None where it has none."""
        advice = reply.get("advice")
        if not isinstance(advice, dict):
            return None
        own = advice.get("long-polling")
        if isinstance(own, dict):
            advice = {**advice, **own}
        interval = _seconds(advice.get("interval"))
        try:
            reconnect = Reconnect(advice.get("reconnect", Reconnect.RETRY))
        except ValueError:
            reconnect = Reconnect.RETRY
        if interval is not None and interval < 0:  # "negative: do not retry" (CometD)
            reconnect, interval = Reconnect.NONE, 0.0
        timeout, max_interval = _seconds(advice.get("timeout")), _seconds(advice.get("maxInterval"))
        return cls(
            reconnect=reconnect,
            interval=interval or 0.0,
            timeout=PARKED if timeout is None or timeout < 0 else timeout,
            max_interval=max_interval if max_interval and max_interval > 0 else None,
            multiple_clients=advice.get("multiple-clients") is True,
        )


def _seconds(milliseconds: object) -> float | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return milliseconds / MILLISECONDS
    except OverflowError:  # an integer that no float can hold
        return None
