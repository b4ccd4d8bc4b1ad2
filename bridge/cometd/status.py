"""What can be said of a CometD session at any moment: for readiness, `/sessions` and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """Where a session stands."""

    STARTING = "starting"
    OPENING = "opening"
    CONNECTED = "connected"
    HOLDING = "holding"
    """A batch waits for Kafka; the server is asked for nothing but to keep the session."""
    RETRYING = "retrying"
    """Polls fail; the session may still be alive on the server."""
    STOPPED = "stopped"


@dataclass(slots=True)
class SessionStatus:
    """The live state of one session; times in seconds since the epoch."""

    state: State = State.STARTING
    reason: str | None = None
    """Why it is not connected: a stable word (`not-json`, `unknown-client`, `login-refused`...)."""
    client_id: str | None = None
    ack_extension: bool = False
    last_reply_at: float | None = None
    reply_due_at: float = float("inf")
    """When the poll that is under way must have ended, on the monotonic clock: past that the loop does not turn."""
    confirmed: set[str] = field(default_factory=set)
    """Channels whose subscription the server confirmed in this session."""
    refused: dict[str, str] = field(default_factory=dict)
    """Channels whose subscription the server refuses, with its error code."""
    held_events: int = 0
    held_since: float | None = None

    @property
    def connected(self) -> bool:
        """Whether the server answers in this session (also while a batch is held)."""
        return self.state in {State.CONNECTED, State.HOLDING}
