"""The CometD session's public interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from bridge.cometd.polling import Polling
from bridge.cometd.session_context import Options, SessionContext
from bridge.cometd.transport import LongPollingTransport
from bridge.errors import ExchangeFailed, UpstreamError

if TYPE_CHECKING:
    from bridge.cometd.http.session import Credentials, HttpSession
    from bridge.cometd.messages.batch import Resume, Sink
    from bridge.cometd.status import SessionStatus
    from bridge.pacing import Gate

log = structlog.get_logger(__name__)


class CometdSession:
    """Opens or resumes the CometD session of one account, and polls. Replaces a session that the server has lost.

    The sink gets the events in order, one `Batch` at a time. The bridge acknowledges a batch only after
    `sink.received` has returned.
    """

    def __init__(
        self,
        http: HttpSession,
        credentials: Credentials,
        options: Options,
        sink: Sink,
        *,
        resume: Resume | None = None,
        handshakes: Gate | None = None,
    ) -> None:
        self._context = SessionContext(options, http, credentials, sink, handshakes)
        self._resume = resume
        self._transport = LongPollingTransport(self._context)
        self._polling = Polling(self._transport, self._context)

    @property
    def status(self) -> SessionStatus:
        """The current state of the session."""
        return self._context.reporter.status

    async def run(self) -> None:
        """Run until `stop`, cancellation or an error of the sink. `run` never ends the session on the server.

        Raises:
            BridgeError: an error of the sink.
        """
        if self._resume is None:
            self._polling.give_up("start")
        else:
            self._transport.resume(self._resume)
            self._polling.resumed()
        await self._polling.run()

    def stop(self) -> None:
        """Make `run` return as soon as the sink has stored the current batch. A later `run` returns at once."""
        self._polling.stop()

    def give_up(self, reason: str) -> None:
        """Replace the session by a new session. The events in the old session's queue are lost."""
        self._polling.give_up(reason)

    def repoll(self) -> None:
        """End the current poll, and poll again on a new connection, with all subscriptions in the same request."""
        self._polling.repoll()

    async def probe(self) -> None:
        """Ask the server whether the session is alive, by subscribing again.

        Raises:
            BridgeError: the exchange failed. The session may still be alive.
        """
        await self._polling.probe()

    async def end(self) -> None:
        """End the session on the server, which drops the session's queue.

        Call this method only if no other bridge will resume the session.
        """
        if self.status.client_id is not None:
            try:
                await self._transport.end_session()
            except (ExchangeFailed, UpstreamError) as failure:
                log.warning("cometd-disconnect-failed", error=failure.code)
