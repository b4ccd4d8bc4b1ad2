"""How a publisher stands with Kafka, for /health/ready, `bridge check` and people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublisherState:
    """Whether records can be published now, and if not, why: one short sentence without any payload."""

    connected: bool
    reason: str | None = None


NOT_STARTED = PublisherState(connected=False, reason="not started")
CONNECTED = PublisherState(connected=True)
STOPPED = PublisherState(connected=False, reason="stopped")
FENCED = PublisherState(connected=False, reason="another bridge relays this account now")
