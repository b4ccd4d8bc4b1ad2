"""The settings, the collaborators and the shared state of a CometD session."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiocometd.extensions import Extension

from bridge.cometd.acknowledgement import AcknowledgementExtension
from bridge.cometd.renewal_guard import RenewalGuard
from bridge.cometd.session_reporter import SessionReporter
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from aiocometd.typing import Headers, Payload

    from bridge.cometd.http.session import Credentials, HttpSession
    from bridge.cometd.messages.batch import Sink
    from bridge.pacing import Gate

HANDSHAKE_BACKOFF_CAP: Final = 30.0
QUIET_CAP: Final = 3.0
"""Maximum seconds without a message from the bridge while it does not poll."""
PARKED_CAP: Final = 5.0
"""Maximum seconds without a message from the bridge while the server has a poll. The poll keeps the session alive. The
message only asks whether the server has removed the session, so that the bridge notices this within 10 s. With 1,000
accounts these questions are most of the work of an idle bridge."""


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of a session. All times are in seconds."""

    account: str
    """Account name for logs and metrics."""
    path: str
    """Path of the Bayeux endpoint, relative to the HTTP session's base URL."""
    channels: tuple[str, ...]
    max_interval: float = 10.0
    """How long the server keeps a session without messages. The server's advice replaces this value."""
    request_timeout: float = 10.0
    """Deadline of an HTTP exchange. A long poll has this time in addition to the time that the poll is parked."""


@dataclass(eq=False)
class SessionContext(Extension):
    """The collaborators and the shared state of one session. As an aiocometd extension, it adds the login's headers."""

    options: Options
    http: HttpSession
    credentials: Credentials
    sink: Sink
    handshakes: Gate | None = None
    """Limits the simultaneous handshakes of a process with many accounts."""
    acks: AcknowledgementExtension = field(default_factory=AcknowledgementExtension)
    guard: RenewalGuard = field(default_factory=lambda: RenewalGuard(cap=HANDSHAKE_BACKOFF_CAP, clock=time.monotonic))
    reporter: SessionReporter = field(init=False)
    max_interval: float = field(init=False)
    """Seconds that the server keeps a session without messages, from the server's advice or the setting."""

    def __post_init__(self) -> None:
        self.reporter = SessionReporter(self.options.account, self.options.channels)
        self.max_interval = self.options.max_interval

    def quiet_limit(self, *, parked: bool) -> float:
        """Return the seconds without a message from the bridge after which the heartbeat sends one.

        With a third of maxInterval, two messages may fail before the server removes the session. `parked`: whether the
        server has a poll, as far as the bridge knows.
        """
        return min(self.max_interval / 3, PARKED_CAP if parked else QUIET_CAP)

    def poll_backoff(self) -> Backoff:
        """Return the delays between failed polls, which are short enough for the server to keep the session."""
        return Backoff(first=0.1, cap=self.max_interval / 4)

    async def outgoing(self, payload: Payload, headers: Headers) -> None:  # noqa: ARG002 -- aiocometd's signature
        """Add the login's headers (Authorization, the CSRF token)."""
        headers.update(await self.credentials.headers())

    async def incoming(self, payload: Payload, headers: Headers | None = None) -> None:
        """Do nothing. The transport recognises a refused login by the HTTP status (401 or 403) and handles it."""
