"""What becomes known of a session, told at once in all three places: its status, the metrics, the log."""

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
    """Notes each change of one account's session. A line in the log is a change of state, never an event."""

    def __init__(self, account: str, channels: Sequence[str]) -> None:
        self.status = SessionStatus()
        self._channels = frozenset(channels)
        """Those that are asked for."""
        self._odd: set[str] = set()
        self._log = log.bind(account=account)
        self._account = account
        self._connected = metrics.cometd_connected.labels(account)
        self._ack_extension = metrics.cometd_ack_extension.labels(account)
        self._last_reply = metrics.cometd_last_reply.labels(account)
        self._hold = metrics.cometd_hold.labels(account)
        self._refused = metrics.cometd_subscriptions_refused.labels(account)

    def handshake(self, result: str) -> None:
        """Count a handshake: `ok`, `refused` or `failed`."""
        metrics.cometd_handshakes.labels(self._account, result).inc()

    def unusable(self, reason: str) -> None:
        """Count a poll's reply that was not taken, where its reason is one of `metrics.UNUSABLE_REPLIES`."""
        if reason in metrics.UNUSABLE_REPLIES:
            metrics.cometd_replies_unusable.labels(self._account, reason).inc()

    def began(self, opening: Opening) -> None:
        """Note a new or resumed session, not yet proven by a poll."""
        self.status.client_id, self.status.ack_extension = opening.client_id, opening.ack_extension
        self.status.confirmed, self.status.refused = set(), {}
        self._odd.clear()
        self._ack_extension.set(opening.ack_extension)
        self._log.info("cometd-session-resuming" if opening.resumed else "cometd-session-opened", reason=opening.reason)
        if not opening.ack_extension:
            self._log.warning(
                "cometd-ack-extension-off", effect="the server keeps no copy: events in a cut reply are lost"
            )

    def lost(self, reason: str) -> None:
        """Note that the session is over, with whatever the server had queued in it."""
        self._log.warning("cometd-session-lost", reason=reason)

    def connected(self) -> None:
        """Note a good poll."""
        if not self.status.connected:
            self._log.info("cometd-connected")
        self.status.state, self.status.reason = State.CONNECTED, None
        self._connected.set(1)
        self.replied()

    def replied(self) -> None:
        """Note that the server answered in this session."""
        self.status.last_reply_at = time.time()
        self._last_reply.set(self.status.last_reply_at)

    def disconnected(self, state: State, reason: str | None) -> None:
        """Note that polls do not work now; `reason` is a stable word."""
        if (state, reason) != (self.status.state, self.status.reason):
            self._log.info("cometd-disconnected", state=state.value, reason=reason)
        self.status.state, self.status.reason = state, reason
        self._connected.set(0)

    def holding(self, batch: Batch) -> None:
        """Note that a batch is with the sink."""
        self.status.state, self.status.held_events, self.status.held_since = (
            State.HOLDING,
            len(batch.events),
            batch.received_at,
        )
        self._hold.set_function(lambda: time.time() - batch.received_at)

    def released(self) -> None:
        """Note that the sink has returned."""
        self._hold.set_function(float)
        self.status.state, self.status.held_events, self.status.held_since = State.CONNECTED, 0, None

    def odd(self, what: str) -> None:
        """Note something that no server should send, by a stable word of ours; told once in each session."""
        if what not in self._odd:
            self._odd.add(what)
            self._log.warning("cometd-reply-odd", what=what, effect="the bridge ignores it, or takes a bound instead")

    def subscriptions(self, replies: list[dict[str, Any]]) -> None:
        """Note which of the wanted subscriptions the server confirmed and which it refused.

        Only the last word of the replies on each channel counts, so that a line in the log is a change.
        """
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
