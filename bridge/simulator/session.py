"""One CometD session: its subscriptions, its acknowledged queue, its parked poll and its expiry clock."""

import asyncio
import enum
import time


class Outcome(enum.Enum):
    """Why a parked poll ended."""

    TIMEOUT = enum.auto()
    EVENTS = enum.auto()
    RELEASED = enum.auto()  # a second /meta/connect of the same session took its place
    DISCONNECTED = enum.auto()


def covers(subscription: str, channel: str) -> bool:
    """Tell whether a subscription takes events of a channel (Bayeux globbing: `*` is one segment, `**` one or more)."""
    if subscription.endswith("/**"):
        return channel.startswith(subscription[:-2]) and not channel.startswith("/meta/")
    if subscription.endswith("/*"):
        prefix = subscription[:-1]
        return channel.startswith(prefix) and "/" not in channel[len(prefix) :]
    return subscription == channel


class Session:
    """The server's half of one CometD session.

    With the acknowledgement extension the queue keeps every event until a /meta/connect acknowledges its batch,
    and each reply carries all of it (CometD's AcknowledgedMessagesSessionExtension and BatchArrayQueue).
    """

    def __init__(self, client_id: str, *, user: str, browser: str, acknowledged: bool) -> None:
        self.client_id = client_id
        self.user = user
        self.browser = browser
        self.acknowledged = acknowledged
        self.connected = False
        self.expires_at: float | None = None
        self._subscriptions: set[str] = set()
        self._receives: dict[str, bool] = {}
        self._queue: list[bytes] = []
        self._fresh = 0
        self._batch = 1
        self._closed: list[tuple[int, int]] = []  # (batch, how many events of the queue lie in it or before it)
        self._poll: asyncio.Future[Outcome] | None = None

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The subscribed channels, in order of name."""
        return tuple(sorted(self._subscriptions))

    @property
    def queued(self) -> int:
        """Events held: not yet delivered, or delivered and not acknowledged."""
        return len(self._queue)

    @property
    def parked(self) -> bool:
        """Whether a poll is waiting for events."""
        return self._poll is not None

    def subscribe(self, channel: str) -> None:
        """Take events of a channel (or of a glob of channels) from now on."""
        self._subscriptions.add(channel)
        self._receives.clear()

    def unsubscribe(self, channel: str) -> None:
        """Take no more events of that subscription."""
        self._subscriptions.discard(channel)
        self._receives.clear()

    def receives(self, channel: str) -> bool:
        """Tell whether any subscription covers the channel."""
        known = self._receives.get(channel)
        if known is None:
            known = self._receives[channel] = any(covers(one, channel) for one in self._subscriptions)
        return known

    def offer(self, event: bytes) -> None:
        """Queue one encoded event and wake the parked poll."""
        self._queue.append(event)
        self._fresh += 1
        self.end_poll(Outcome.EVENTS)

    def acknowledge(self, batch: int) -> None:
        """Drop every queued event of that batch or an earlier one."""
        if batch >= self._batch:
            self._queue.clear()
            self._closed.clear()
            self._fresh = 0
            return
        dropped = 0
        while self._closed and self._closed[0][0] <= batch:
            dropped = self._closed.pop(0)[1]
        if dropped:
            del self._queue[:dropped]
            self._closed = [(number, end - dropped) for number, end in self._closed]

    def must_reply(self, *, acknowledging: bool) -> bool:
        """Tell whether a /meta/connect is answered at once.

        New events always do that; unacknowledged ones only to a connect that acknowledges something (cometd #595).
        """
        return self._fresh > 0 or (acknowledging and bool(self._queue))

    def close_batch(self) -> int:
        """End the open batch; return its number, which the reply carries as `ext.ack`."""
        closed = self._batch
        self._closed.append((closed, len(self._queue)))
        self._batch += 1
        return closed

    def take(self) -> list[bytes]:
        """Return the events for a reply.

        With the ack extension these are all unacknowledged events. Without it they are all queued events, which then
        leave the queue.
        """
        self._fresh = 0
        events = self._queue
        if not self.acknowledged:
            self._queue = []
            return events
        return events.copy()

    async def park(self, seconds: float) -> Outcome:
        """Hold a poll until something ends it, or until the time is up."""
        poll = self._poll = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait({poll}, timeout=seconds)
        finally:
            if self._poll is poll:
                self._poll = None
        return poll.result() if poll.done() else Outcome.TIMEOUT

    def end_poll(self, outcome: Outcome) -> None:
        """End the parked poll, if there is one; the first cause counts."""
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(outcome)

    def release_poll(self) -> None:
        """Let a newer /meta/connect take the place of the parked one."""
        self.end_poll(Outcome.RELEASED)
        self._poll = None

    def expire_after(self, seconds: float) -> None:
        """Start the expiry clock, unless a poll is parked (a parked poll keeps the session)."""
        if self._poll is None:
            self.expires_at = time.monotonic() + seconds

    def extend_expiry(self, seconds: float) -> None:
        """Any other message while the clock runs starts it anew (ServerSessionImpl.cancelExpiration)."""
        if self.expires_at is not None:
            self.expires_at = max(self.expires_at, time.monotonic() + seconds)
