"""The current state of a CometD session, for readiness and GET /sessions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """The states of a session."""

    STARTING = "starting"
    OPENING = "opening"
    CONNECTED = "connected"
    HOLDING = "holding"
    """A batch waits for Kafka. The bridge does not poll, and the heartbeat keeps the session alive."""
    RETRYING = "retrying"
    """Polls fail, but the session may still be alive on the server."""
    STOPPED = "stopped"


@dataclass(slots=True)
class SessionStatus:
    """The state of one session. Times are in seconds since the epoch, unless a field says otherwise."""

    state: State = State.STARTING
    reason: str | None = None
    """Why the session is not connected: a stable word (`not-json`, `unknown-client`, `login-refused`...)."""
    client_id: str | None = None
    ack_extension: bool = False
    last_reply_at: float | None = None
    reply_due_at: float = float("inf")
    """Deadline of the current poll, on the monotonic clock. Later the poll counts as stuck."""
    confirmed: set[str] = field(default_factory=set)
    """Channels whose subscription the server confirmed in this session."""
    refused: dict[str, str] = field(default_factory=dict)
    """Channels whose subscription the server refused, with the error code."""
    held_events: int = 0
    held_since: float | None = None

    @property
    def connected(self) -> bool:
        """Whether the last poll worked. True also while a batch waits for Kafka."""
        return self.state in {State.CONNECTED, State.HOLDING}
