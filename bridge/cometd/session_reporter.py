"""Reports each change of a session's state to its `SessionStatus`, the metrics and the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog
from aiocometd.constants import MetaChannel

from bridge.cometd.messages.message import error_code
from bridge.cometd.status import SessionStatus, State
from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.cometd.messages.batch import Batch, Opening

log = structlog.get_logger(__name__)


class SessionReporter:
    """Reports the changes of one account's session. The log gets changes of state, never single events."""

    def __init__(self, account: str, channels: Sequence[str]) -> None:
        self.status = SessionStatus()
        self._channels = frozenset(channels)
        """The channels that the session subscribes to."""
        self._odd: set[str] = set()
        self._log = log.bind(account=account)
        self._account = account
        self._connected = metrics.cometd_connected.labels(account)
        self._ack_extension = metrics.cometd_ack_extension.labels(account)
        self._last_reply = metrics.cometd_last_reply.labels(account)
        metrics.cometd_hold.labels(account).set_function(lambda: self.status.held)
        self._refused = metrics.cometd_subscriptions_refused.labels(account)

    def handshake(self, result: str) -> None:
        """Count a handshake: `ok`, `refused` or `failed`."""
        metrics.cometd_handshakes.labels(self._account, result).inc()

    def unusable(self, reason: str) -> None:
        """Count an unusable reply to a poll, if `metrics.UNUSABLE_REPLIES` contains the reason."""
        if reason in metrics.UNUSABLE_REPLIES:
            metrics.cometd_replies_unusable.labels(self._account, reason).inc()

    def began(self, opening: Opening) -> None:
        """Report a new or resumed session, before its first poll."""
        self.status.client_id, self.status.ack_extension = opening.client_id, opening.ack_extension
        self.status.confirmed, self.status.refused = set(), {}
        self._odd.clear()
        self._ack_extension.set(opening.ack_extension)
        self._log.info("cometd-session-resuming" if opening.resumed else "cometd-session-opened", reason=opening.reason)
        if not opening.ack_extension:
            self._log.warning(
                "cometd-ack-extension-off", effect="the server keeps no copy, so events in an incomplete reply are lost"
            )

    def lost(self, reason: str) -> None:
        """Report that the session and the events in its queue are lost."""
        self._log.warning("cometd-session-lost", reason=reason)

    def connected(self) -> None:
        """Report that a poll has worked."""
        if not self.status.connected:
            self._log.info("cometd-connected")
        self.status.state, self.status.reason = State.CONNECTED, None
        self._connected.set(1)
        self.replied()

    def replied(self) -> None:
        """Report a good reply in this session."""
        self.status.last_reply_at, self.status.heard_at = time.time(), time.monotonic()
        self._last_reply.set(self.status.last_reply_at)

    def disconnected(self, state: State, reason: str | None) -> None:
        """Report that polls don't work now. `reason` is a stable word.

        The opening of the first session and a planned stop do not count as a disconnection, and are not logged.
        """
        planned = state is State.STOPPED or (state is State.OPENING and self.status.state is State.STARTING)
        if not planned and (state, reason) != (self.status.state, self.status.reason):
            self._log.info("cometd-disconnected", state=state.value, reason=reason)
        self.status.state, self.status.reason = state, reason
        self._connected.set(0)

    def stopped(self) -> None:
        """Report that this process no longer polls the session. Another process may continue the session."""
        self.disconnected(State.STOPPED, None)
        self._ack_extension.set(0)
        self._refused.set(0)

    def holding(self, batch: Batch) -> None:
        """Report that the sink is storing a batch."""
        self.status.state, self.status.held_events = State.HOLDING, len(batch.events)
        self.status.held_since, self.status.held_from = batch.received_at, time.monotonic()

    def released(self) -> None:
        """Report that the sink has stored the batch, or has failed."""
        self.status.state, self.status.held_events = State.CONNECTED, 0
        self.status.held_since = self.status.held_from = None

    def odd(self, what: str) -> None:
        """Log that a reply breaks the protocol, once per session for each `what` (a stable word)."""
        if what not in self._odd:
            self._odd.add(what)
            effect = "the bridge ignores that part of the reply, or uses a limit instead"
            self._log.warning("cometd-reply-odd", what=what, effect=effect)

    def subscriptions(self, replies: list[dict[str, Any]]) -> None:
        """Report which subscriptions the server confirmed or refused. The last reply for each channel counts."""
        if not replies:
            return
        newest: dict[str, dict[str, Any]] = {}
        for reply in replies:
            channel = reply.get("subscription")
            if reply["channel"] != MetaChannel.SUBSCRIBE or channel is None:
                continue
            if isinstance(channel, str) and channel in self._channels:
                newest[channel] = reply
            else:
                self.odd("unknown-subscription")
        status = self.status
        for channel, reply in newest.items():
            if reply["successful"]:
                if status.refused.pop(channel, None):
                    self._log.info("cometd-subscription-granted", channel=channel)
                status.confirmed.add(channel)
            else:
                status.confirmed.discard(channel)
                if channel not in status.refused:
                    self._log.warning("cometd-subscription-refused", channel=channel, error=error_code(reply))
                status.refused[channel] = str(error_code(reply))
        self._refused.set(len(status.refused))
