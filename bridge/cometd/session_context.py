"""What a session is made of: passed to the transport, which aiocometd builds itself, as one of its extensions."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiocometd.extensions import Extension

from bridge.backoff import Backoff
from bridge.cometd.acknowledgement import AcknowledgementExtension
from bridge.cometd.renewal_guard import RenewalGuard
from bridge.cometd.session_reporter import SessionReporter

if TYPE_CHECKING:
    from aiocometd.typing import Headers, Payload

    from bridge.cometd.http.session import Credentials, HttpSession
    from bridge.cometd.messages.batch import Resume, Sink
    from bridge.cometd.transport import LongPollingTransport

HANDSHAKE_BACKOFF_CAP: Final = 30.0
PROBE_CAP: Final = 3.0
"""Seconds: with the deadline of the probe itself, a removed session is noticed well within 10 s."""


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of a session; times in seconds."""

    account: str
    """Names the session in logs and metrics."""
    path: str
    """Of the Bayeux endpoint, under the HTTP session's base URL."""
    channels: tuple[str, ...]
    max_interval: float = 10.0
    """How long the server keeps a silent session, where its advice does not tell."""
    request_timeout: float = 10.0
    """Deadline of every exchange but the long poll, which gets as much more than the server parks it."""


@dataclass(eq=False)
class SessionContext(Extension):
    """The collaborators and the shared state of one session; as an extension it adds the login's headers.

    aiocometd passes its transports nothing of ours but the extensions, and they are made for exactly this: to see every
    message on its way out and in.
    """

    options: Options
    http: HttpSession
    credentials: Credentials
    sink: Sink
    resume: Resume | None = None
    acks: AcknowledgementExtension = field(default_factory=AcknowledgementExtension)
    guard: RenewalGuard = field(default_factory=lambda: RenewalGuard(cap=HANDSHAKE_BACKOFF_CAP, clock=time.monotonic))
    reporter: SessionReporter = field(init=False)
    max_interval: float = field(init=False)
    """The server's, as its advice tells, else the setting."""
    transport: LongPollingTransport | None = field(init=False, default=None)
    """The one that aiocometd made; it puts itself here."""

    def __post_init__(self) -> None:
        self.reporter = SessionReporter(self.options.account, self.options.channels)
        self.max_interval = self.options.max_interval

    @property
    def quiet_limit(self) -> float:
        """Seconds without any message of ours after which the server is sent one: keep-alive and probe."""
        return min(self.max_interval / 3, PROBE_CAP)

    def poll_backoff(self) -> Backoff:
        """Return the delays between failed polls: capped so that our own waiting can't expire the session."""
        return Backoff(first=0.1, cap=self.max_interval / 4)

    async def outgoing(self, payload: Payload, headers: Headers) -> None:  # noqa: ARG002 -- aiocometd's signature
        """Add what the login asks for (Authorization, the CSRF token)."""
        headers.update(await self.credentials.headers())

    async def incoming(self, payload: Payload, headers: Headers | None = None) -> None:
        """Nothing: a refused login shows in the HTTP status, before there is a payload."""
