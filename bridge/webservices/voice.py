"""The contact centre session on the voice channel, for sites where it registers the account's device."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bridge.backoff import Backoff
from bridge.errors import UpstreamError

if TYPE_CHECKING:
    from bridge.webservices.client import WebServicesClient

RETRY_CAP = 30.0
log = structlog.get_logger(__name__)


class VoiceSession:
    """Starts the contact centre session whenever `due` says so, and tries until Web Services takes it.

    Without a registered device operations fail with HTTP 500 and statusCode 4 (web-services log). It must come after
    the CometD subscription, or its own events are missed.
    """

    def __init__(self, client: WebServicesClient, account: str) -> None:
        self._client = client
        self._log = log.bind(account=account)
        self._due = asyncio.Event()

    def due(self) -> None:
        """Ask for a contact-centre session: a CometD session was opened."""
        self._due.set()

    async def run(self) -> None:
        """Run for ever."""
        while True:
            await self._due.wait()
            self._due.clear()
            backoff = Backoff(first=1.0, cap=RETRY_CAP)
            while True:
                try:
                    await self._client.start_voice_session()
                except UpstreamError as error:
                    self._log.warning("voice-session-refused", error=error.code)
                    await asyncio.sleep(backoff.next_delay())
                else:
                    self._log.info("voice-session-started")
                    break
