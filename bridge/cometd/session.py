"""The public face of a CometD session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from aiocometd.client import Client
from aiocometd.constants import ConnectionType

import bridge.cometd.transport  # noqa: F401 -- registers itself with aiocometd
from bridge.cometd.session_context import Options, SessionContext
from bridge.errors import ExchangeFailed, UpstreamError

if TYPE_CHECKING:
    from bridge.cometd.http.session import Credentials, HttpSession
    from bridge.cometd.messages.batch import Resume, Sink
    from bridge.cometd.status import SessionStatus

log = structlog.get_logger(__name__)


class CometdSession:
    """Keeps one account's CometD session: opens or resumes it, polls, reopens it when the server has lost it.

    Every reply's events go to the sink as one `Batch`, in order, one batch at a time; the server is told to forget them
    only when the sink has returned.
    """

    def __init__(
        self, http: HttpSession, credentials: Credentials, options: Options, sink: Sink, *, resume: Resume | None = None
    ) -> None:
        self._context = SessionContext(options, http, credentials, sink, resume)
        self._stopped = False

    @property
    def status(self) -> SessionStatus:
        """What can be said of the session now."""
        return self._context.reporter.status

    async def run(self) -> None:
        """Run until `stop`, cancellation or an error of the sink. The session stays alive on the server.

        Raises:
            BridgeError: what the sink raised.
        """
        if self._stopped:
            return
        # aiocometd wants to know a URL; the HTTP session has the host.
        client = Client(
            self._context.options.path, ConnectionType.LONG_POLLING, extensions=[self._context.acks, self._context]
        )
        try:
            await client.open()
            if self._context.transport is not None:
                await self._context.transport.wait_closed()
        finally:
            await client.close()

    def stop(self) -> None:
        """Let `run` return when the batch that is under way has been kept. Before `run` it lets that do nothing."""
        self._stopped = True
        if self._context.transport is not None:
            self._context.transport.polling.stop()

    def give_up(self, reason: str) -> None:
        """Replace the session by a new one; what the server has queued in the old one is lost."""
        if self._context.transport is not None:
            self._context.transport.polling.give_up(reason)

    def repoll(self) -> None:
        """Poll anew, on a new connection, with all subscriptions in the same request."""
        if self._context.transport is not None:
            self._context.transport.polling.repoll()

    async def probe(self) -> None:
        """Ask the server whether the session is alive, by subscribing again.

        Raises:
            BridgeError: there was no answer, which says nothing of the session.
        """
        if self._context.transport is not None:
            await self._context.transport.polling.probe()

    async def end(self) -> None:
        """End the session on the server, queue and all: only when no successor will come."""
        if self._context.transport is not None and self.status.client_id is not None:
            try:
                await self._context.transport.end_session()
            except (ExchangeFailed, UpstreamError) as failure:
                log.warning("cometd-disconnect-failed", error=failure.code)
