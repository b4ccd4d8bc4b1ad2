"""Starts a contact centre session on the voice channel, for sites where this registers the account's device."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bridge.errors import UpstreamError
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from bridge.webservices.client import WebServicesClient

RETRY_CAP = 30.0
log = structlog.get_logger(__name__)


class VoiceSession:
    """Starts the contact centre session after each call of `due`, and retries until Web Services accepts the request.

    Without a registered device operations fail with HTTP 500 and statusCode 4 (web-services log). The start of the
    session causes events, so the CometD subscription must exist first.
    """

    def __init__(self, client: WebServicesClient, account: str) -> None:
        self._client = client
        self._log = log.bind(account=account)
        self._due = asyncio.Event()

    def due(self) -> None:
        """Request a contact centre session. Call this after a CometD session was opened."""
        self._due.set()

    async def run(self) -> None:
        """Start a contact centre session after each call of `due`, until cancelled."""
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
