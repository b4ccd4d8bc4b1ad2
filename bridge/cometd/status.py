"""The current state of a CometD session, for readiness and GET /sessions."""

from __future__ import annotations

import time
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
    heard_at: float | None = None
    """The time of the last reply on the monotonic clock."""
    reply_due_at: float = float("inf")
    """Deadline of the current poll, on the monotonic clock. After the deadline the poll counts as stuck."""
    confirmed: set[str] = field(default_factory=set)
    """Channels whose subscription the server confirmed in this session."""
    refused: dict[str, str] = field(default_factory=dict)
    """Channels whose subscription the server refused, with the error code."""
    held_events: int = 0
    held_since: float | None = None
    held_from: float | None = None
    """The time of `held_since` on the monotonic clock."""

    @property
    def held(self) -> float:
        """For how many seconds a batch has waited for Kafka. 0 if no batch waits."""
        return 0.0 if self.held_from is None else time.monotonic() - self.held_from

    @property
    def connected(self) -> bool:
        """Whether the last poll worked. Also true while a batch waits for Kafka."""
        return self.state in {State.CONNECTED, State.HOLDING}
