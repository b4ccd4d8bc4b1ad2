"""The state of a publisher, for readiness, GET /sessions and the log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublisherState:
    """Whether records can be published now. If not, `reason` is a short text without private data."""

    connected: bool
    reason: str | None = None


NOT_STARTED = PublisherState(connected=False, reason="not started")
CONNECTED = PublisherState(connected=True)
STOPPED = PublisherState(connected=False, reason="stopped")
FENCED = PublisherState(connected=False, reason="another bridge relays this account now")
