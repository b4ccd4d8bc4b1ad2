"""The server's side of a CometD session: subscriptions, event queue, parked poll and expiry.

A parked poll is a /meta/connect that the server has not answered yet, because it waits for events.
"""

import asyncio
import enum
import time


class Outcome(enum.Enum):
    """The reason why a parked poll ended."""

    TIMEOUT = enum.auto()
    EVENTS = enum.auto()
    RELEASED = enum.auto()  # a newer /meta/connect of the session has replaced the poll
    DISCONNECTED = enum.auto()


def covers(subscription: str, channel: str) -> bool:
    """Return whether a subscription matches a channel. In Bayeux, `*` is one segment and `**` one or more segments."""
    if subscription.endswith("/**"):
        return channel.startswith(subscription[:-2]) and not channel.startswith("/meta/")
    if subscription.endswith("/*"):
        prefix = subscription[:-1]
        return channel.startswith(prefix) and "/" not in channel[len(prefix) :]
    return subscription == channel


class Session:
    """The server's side of a CometD session.

    With the acknowledgement extension the queue keeps each event until a /meta/connect acknowledges the event's batch.
    Each reply contains the whole queue, like CometD's AcknowledgedMessagesSessionExtension and BatchArrayQueue.
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
        self._closed: list[tuple[int, int]] = []  # (batch, number of queued events up to the end of this batch)
        self._poll: asyncio.Future[Outcome] | None = None

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The subscribed channels, sorted by name."""
        return tuple(sorted(self._subscriptions))

    @property
    def queued(self) -> int:
        """The number of events that are not yet delivered, or delivered but not acknowledged."""
        return len(self._queue)

    @property
    def parked(self) -> bool:
        """Whether a poll of the session is parked."""
        return self._poll is not None

    def subscribe(self, channel: str) -> None:
        """Subscribe to a channel or to a pattern of channels."""
        self._subscriptions.add(channel)
        self._receives.clear()

    def unsubscribe(self, channel: str) -> None:
        """End a subscription."""
        self._subscriptions.discard(channel)
        self._receives.clear()

    def receives(self, channel: str) -> bool:
        """Return whether any subscription matches the channel."""
        known = self._receives.get(channel)
        if known is None:
            known = self._receives[channel] = any(covers(one, channel) for one in self._subscriptions)
        return known

    def offer(self, event: bytes) -> None:
        """Queue an encoded event and end the parked poll."""
        self._queue.append(event)
        self._fresh += 1
        self.end_poll(Outcome.EVENTS)

    def acknowledge(self, batch: int) -> None:
        """Remove the events of this batch and of all earlier batches from the queue."""
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
        """Return whether the server must answer a /meta/connect at once, instead of parking the poll.

        New events require a reply at once. If there are only unacknowledged events, a connect that acknowledges a batch
        requires a reply at once (CometD issue 595).
        """
        return self._fresh > 0 or (acknowledging and bool(self._queue))

    def close_batch(self) -> int:
        """End the current batch. Return its number for `ext.ack` in the reply."""
        closed = self._batch
        self._closed.append((closed, len(self._queue)))
        self._batch += 1
        return closed

    def take(self) -> list[bytes]:
        """Return the events for a reply.

        With the ack extension these are all unacknowledged events. Without the extension the result is all queued
        events, which the method removes from the queue.
        """
        self._fresh = 0
        events = self._queue
        if not self.acknowledged:
            self._queue = []
            return events
        return events.copy()

    async def park(self, seconds: float) -> Outcome:
        """Park a poll until `end_poll` ends it or `seconds` have passed. Return the reason."""
        poll = self._poll = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait({poll}, timeout=seconds)
        finally:
            if self._poll is poll:
                self._poll = None
        return poll.result() if poll.done() else Outcome.TIMEOUT

    def end_poll(self, outcome: Outcome) -> None:
        """End the parked poll, if any. If `end_poll` is called several times, the first outcome counts."""
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(outcome)

    def release_poll(self) -> None:
        """End the parked poll, because a newer /meta/connect replaces it."""
        self.end_poll(Outcome.RELEASED)
        self._poll = None

    def expire_after(self, seconds: float) -> None:
        """Let the session expire after `seconds`, unless a poll is parked. A parked poll prevents expiry."""
        if self._poll is None:
            self.expires_at = time.monotonic() + seconds

    def extend_expiry(self, seconds: float) -> None:
        """Postpone the expiry after a message other than a poll, like CometD's ServerSessionImpl.cancelExpiration."""
        if self.expires_at is not None:
            self.expires_at = max(self.expires_at, time.monotonic() + seconds)
