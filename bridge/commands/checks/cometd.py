"""Checks whether a CometD session can be opened and subscribed, with a new session that the check ends at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bridge.cometd import CometdSession, Options
from bridge.commands.checks.finding import failed, ok, skipped, warning

if TYPE_CHECKING:
    from bridge.cometd import Batch, Credentials, HttpSession, Opening, SessionStatus
    from bridge.commands.checks.finding import Finding
    from bridge.settings import Account, WebServices

COMETD, ACKNOWLEDGEMENT, SUBSCRIPTIONS = "cometd handshake", "ack extension", "subscriptions"
SESSION_SUBJECTS: Final = [COMETD, ACKNOWLEDGEMENT, SUBSCRIPTIONS]
EXCHANGES: Final = 2
"""Exchanges that the check waits for: the handshake, then the first poll with the subscriptions."""
END: Final = 3.0
POLL: Final = 0.02


class _Discarding:
    """Discards all events. The server sends the same events to the session of the running bridge."""

    async def opened(self, opening: Opening) -> None:
        pass

    async def displaced(self) -> None:
        """Do nothing, because no other bridge can take over this session."""

    async def arrived(self, batch: Batch) -> None:
        pass

    async def received(self, batch: Batch) -> None:
        pass


async def check_session(
    http: HttpSession, credentials: Credentials, site: WebServices, account: Account
) -> list[Finding]:
    """Open a session, subscribe, end the session, and return the findings."""
    options = Options(
        account=account.name,
        path=site.notifications_path,
        channels=site.channels,
        max_interval=site.max_interval,
        request_timeout=site.request_timeout,
    )
    session = CometdSession(http, credentials, options, _Discarding())
    running = asyncio.create_task(session.run())
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(EXCHANGES * site.request_timeout):
                while not (running.done() or _settled(session.status, site.channels)):  # noqa: ASYNC110 -- has no event
                    await asyncio.sleep(POLL)
        findings = _findings(session.status, site)
    finally:
        session.stop()
        _, late = await asyncio.wait([running], timeout=END)
        running.cancel()
        await asyncio.wait([running])
    if not late:
        running.result()
    try:
        async with asyncio.timeout(END):
            await session.end()
    except TimeoutError:
        findings.append(warning(COMETD, "The server did not answer /meta/disconnect; it will drop the session later."))
    return findings


def _settled(status: SessionStatus, channels: tuple[str, ...]) -> bool:
    return status.connected and set(channels) <= status.confirmed | status.refused.keys()


def _findings(status: SessionStatus, site: WebServices) -> list[Finding]:
    if not status.connected:
        reason = status.reason or "no answer in time"
        remedy = "check BRIDGE_WEB_SERVICES__NOTIFICATIONS_PATH and that proxies pass long polls"
        return [
            failed(COMETD, f"No session at {site.notifications_path} ({reason}); {remedy}."),
            *skipped([ACKNOWLEDGEMENT, SUBSCRIPTIONS], COMETD),
        ]
    return [
        ok(COMETD, f"A session was opened at {site.notifications_path}."),
        _acknowledgement(status),
        _subscriptions(status, site),
    ]


def _acknowledgement(status: SessionStatus) -> Finding:
    if status.ack_extension:
        return ok(ACKNOWLEDGEMENT, "The server keeps events until they are acknowledged.")
    return warning(
        ACKNOWLEDGEMENT,
        "The server has no ack extension, so events in a cut reply are lost; ask for the extension, or set "
        "BRIDGE_STATE_DIR so that at least a crash of the bridge loses no events.",
    )


def _subscriptions(status: SessionStatus, site: WebServices) -> Finding:
    needed = [channel for channel in site.channels if channel not in site.optional_channels]
    absent = [channel for channel in site.channels if channel not in status.confirmed]
    if not absent:
        return ok(SUBSCRIPTIONS, f"Subscribed to {', '.join(site.channels)}.")
    codes = ", ".join(f"{channel} ({status.refused.get(channel, 'no answer')})" for channel in absent)
    if any(channel in needed for channel in absent):
        return failed(
            SUBSCRIPTIONS,
            f"The server refused: {codes}; ask an administrator to permit it, or add the channel to"
            " BRIDGE_WEB_SERVICES__OPTIONAL_CHANNELS.",
        )
    return warning(SUBSCRIPTIONS, f"The server refused optional channels: {codes}.")
