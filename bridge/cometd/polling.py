"""The poll loop of a CometD session (poll, hand the events to the sink, acknowledge), and a heartbeat.

The loop polls again only after the sink has stored the batch. Until then new events wait in the server's queue. The
heartbeat repeats the subscriptions if the bridge has sent nothing for a third of the server's maxInterval, or for 3 s
(for 5 s while the server has a poll):

- While the sink is storing a batch, the heartbeat keeps the session alive.
- While a poll is parked (waits on the server), the heartbeat detects that the server has removed the session. Without
the heartbeat the removal would show only when the poll ends, up to 30 s later.
- The heartbeat asks again for subscriptions that the server refused.

The rules were measured with CometD server 3.1.5.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Final

import structlog

from bridge.cometd.acknowledgement import UNUSABLE
from bridge.cometd.advice import Advice, Reconnect
from bridge.cometd.messages.batch import Batch, Event, Opening
from bridge.cometd.messages.message import error_code, is_unknown_client
from bridge.cometd.status import State
from bridge.cometd.transport import MISMATCHED
from bridge.errors import BridgeError, CometdError, ExchangeFailed, UpstreamError, UpstreamUnreachable
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.cometd.session_context import SessionContext
    from bridge.cometd.transport import LongPollingTransport, Reply

log = structlog.get_logger(__name__)

UNNUMBERED: Final = frozenset({MISMATCHED, UNUSABLE})
"""Reasons of failed polls after which the bridge can't know whether the server sends the reply's events again."""
MOST_UNUSABLE: Final = 3
"""Number of successive replies with an unusable `ext.ack` after which the bridge opens a new session."""
DISPLACED: Final = "http-408"
"""The HTTP error that ends a poll if another client polls the same session (CometD's AbstractHttpTransport)."""
EMPTY_REPLY_CAP: Final = 1.0
"""Maximum seconds between polls if the server does not park polls, but replies at once without events."""


class Polling:
    """Polls one session through `transport`. Opens a new session when the server has lost the old session."""

    def __init__(self, transport: LongPollingTransport, context: SessionContext) -> None:
        self._transport = transport
        transport.on_part = self.received_part
        self._context = context
        self._reporter = context.reporter
        self._opening: Opening | None = None
        """The opening that the sink must get before the next batch. None if the sink has it."""
        self._waiting: list[Batch] = []
        """Batches that went to `sink.arrived` and must still go to `sink.received`."""
        self._arrivals = asyncio.Lock()
        self._handed = 0
        """Number of events of the current reply that the sink got before the whole reply arrived."""
        self._unusable = 0
        """Number of replies in a row with an unusable `ext.ack`."""
        self._lost: str | None = None
        """Why this session must be replaced by a new one; None for a good session."""
        self._stop = asyncio.Event()
        self._parked: asyncio.Timeout | None = None
        self._sent_at = 0.0
        self._probed_at = 0.0

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Poll until `stop` or cancellation. An error of the sink is raised."""
        tasks = [asyncio.create_task(self._poll_on()), asyncio.create_task(self._heartbeat())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._reporter.stopped()
        for task in done:
            task.result()

    async def _poll_on(self) -> None:
        at_once = True
        backoff = self._context.poll_backoff()
        empty = Backoff(first=0.01, cap=EMPTY_REPLY_CAP)
        while not self._stop.is_set():
            base, asked_at = self._context.acks.acknowledged, time.monotonic()
            try:
                reply = await self._poll(at_once=at_once)
            except (ExchangeFailed, UpstreamError) as failure:
                self._reporter.unusable(_reason(failure))
                await self._arrive(getattr(failure, "events", ()))
                await self._hand_over_waiting()
                self._unusable = self._unusable + 1 if _reason(failure) == UNUSABLE else 0
                if (self._handed and _reason(failure) in UNNUMBERED) or self._unusable == MOST_UNUSABLE:
                    self._lost = _reason(failure)
                self._reporter.disconnected(State.RETRYING, _reason(failure))
                if _reason(failure) == DISPLACED:
                    await self._context.sink.displaced()
                at_once = True
                await self._pause(backoff.next_delay())
                continue
            if reply is None:
                continue
            if not reply["successful"]:
                await self._refused_poll(reply, backoff)
                at_once = True
                continue
            backoff.reset()
            self._unusable = 0
            await self._received(reply, base)
            if reply.events or at_once or time.monotonic() - asked_at > EMPTY_REPLY_CAP:
                empty.reset()
                await self._pause(self._transport.advice.interval)
            else:
                await self._pause(max(self._transport.advice.interval, empty.next_delay()))
            at_once = False
        await self._hand_over_waiting()

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stop.wait()

    async def _poll(self, *, at_once: bool) -> Reply | None:
        """Do one poll. Return None if `_cut_poll` ended it early, or if a new session had to be opened."""
        if self._lost is None:
            self._sent_at, self._handed = time.monotonic(), 0
            self._reporter.status.reply_due_at = time.monotonic() + self._transport.poll_timeout
            self._parked = parked = asyncio.timeout(None)
            try:
                async with parked:
                    return await self._transport.poll(at_once=at_once, subscribe=self._subscriptions_due())
            except TimeoutError:
                if not parked.expired():  # the TimeoutError does not come from `_cut_poll`
                    raise
            finally:
                self._parked = None
        if self._lost is not None:
            await self.open_session(self._lost)
        return None

    def _subscriptions_due(self) -> bool:
        status = self._reporter.status
        return status.confirmed | status.refused.keys() < set(self._context.options.channels)

    async def _refused_poll(self, reply: Reply, backoff: Backoff) -> None:
        """Follow the server's advice after an unsuccessful reply to a poll."""
        if not self._context.acks.enabled:
            await self._arrive(reply.events)
            await self._hand_over_waiting()
        advice = Advice.of(reply)
        if is_unknown_client(reply) or (advice is not None and advice.reconnect is Reconnect.HANDSHAKE):
            await self.open_session("unknown-client")
        elif advice is not None and advice.reconnect is Reconnect.NONE:
            await self.open_session("advice-none")
        else:
            self._reporter.disconnected(State.RETRYING, f"poll-refused-{error_code(reply)}")
            await self._pause(max(backoff.next_delay(), self._transport.advice.interval))

    async def _received(self, reply: Reply, base: int | None) -> None:
        """Pass a good reply to the sink. Acknowledge the reply when the sink has stored it."""
        now = time.time()
        self._reporter.subscriptions(reply.others)
        self._reporter.connected()
        number = reply.acknowledgement
        batch = Batch(self._session(), base, number, reply.events, now, offset=self._handed)
        if batch.events and not batch.sent_again:
            await self._arrive(batch.events)
        else:
            await self._hand_over_waiting()
            await self._hand_over(batch)
        self._context.acks.acknowledge(number)
        await self._hand_over_waiting()

    async def received_part(self, events: list[Event]) -> None:
        """Pass a part of a poll's reply to the sink while the rest is still being received.

        From now on only `stop` can end this poll early, and not before the sink has stored the part. The server may
        have removed the session. Then only the rest of this reply still contains the session's events.
        """
        base, parked = self._context.acks.acknowledged, self._parked
        if parked is not None:
            parked.reschedule(None)
        self._parked = None
        self._reporter.connected()
        if base is None:
            await self._arrive(events)
            await self._hand_over_waiting()
        else:
            batch = Batch(self._session(), base, None, events, time.time(), offset=self._handed, more=True)
            await self._hand_over_waiting()
            await self._hand_over(batch)
        self._handed += len(events)
        self._reporter.status.reply_due_at = time.monotonic() + self._transport.poll_timeout
        self._parked = parked
        if self._stop.is_set():
            self._cut_poll()
            await asyncio.sleep(0)  # the time-out that `_cut_poll` has set ends the poll here

    async def _arrive(self, events: Sequence[Event]) -> None:
        """Let the sink save events that the server does not send again, then queue these events."""
        if events:
            batch = Batch(self._session(), None, None, events, time.time())
            async with self._arrivals:
                await self._context.sink.arrived(batch)
                self._waiting.append(batch)

    async def _hand_over_waiting(self) -> None:
        while self._waiting:
            await self._hand_over(self._waiting.pop(0))

    async def _hand_over(self, batch: Batch) -> None:
        await self._hand_over_opening()
        self._reporter.holding(batch)
        try:
            await self._context.sink.received(batch)
        finally:
            self._reporter.released()

    async def _hand_over_opening(self) -> None:
        if self._opening is not None:
            await self._context.sink.opened(self._opening)
            self._opening = None

    # -- sessions -----------------------------------------------------------------------------------------------------

    def resumed(self) -> None:
        """Start polling with the session of an earlier process, which the transport has restored.

        The sink gets the opening with the first batch, because only a reply shows that the server has the session.
        """
        self._begin("start", resumed=True)

    async def open_session(self, reason: str) -> None:
        """Repeat the handshake, at the rate that the guard allows, until a new session exists or `stop` is called.

        The sink gets the opening before the first poll. So even if the bridge stops or dies right after the handshake,
        the next process continues this session.
        """
        self._lost = reason
        await self._hand_over_waiting()
        if self._transport.client_id is not None:
            self._reporter.lost(reason)
        self._reporter.disconnected(State.OPENING, reason)
        while not self._stop.is_set():
            await self._pause(self._context.guard.delay())
            if self._stop.is_set():
                return
            result = await self._shake_hands()
            self._reporter.handshake(result)
            if result == "ok":
                self._context.guard.opened()
                self._begin(reason, resumed=False)
                await self._hand_over_opening()
                return

    async def _shake_hands(self) -> str:
        try:
            async with self._context.handshakes.place() if self._context.handshakes is not None else nullcontext():
                reply = await self._transport.new_session()
        except (ExchangeFailed, UpstreamError) as failure:
            self._reporter.disconnected(State.OPENING, _reason(failure))
            return "failed"
        if not reply["successful"]:
            self._reporter.disconnected(State.OPENING, f"handshake-refused-{error_code(reply)}")
        elif self._transport.client_id is None:
            self._reporter.disconnected(State.OPENING, "client-id-unusable")
        else:
            return "ok"
        return "refused"

    def _begin(self, reason: str, *, resumed: bool) -> None:
        self._lost, self._sent_at = None, time.monotonic()
        self._opening = Opening(
            self._session(), resumed=resumed, ack_extension=self._context.acks.enabled, reason=reason
        )
        self._reporter.began(self._opening)

    def _session(self) -> str:
        client_id = self._transport.client_id
        if client_id is None:  # unreachable: a handshake or a resume has set the clientId
            raise CometdError("there is no session")
        return client_id

    def give_up(self, reason: str) -> None:
        """Replace the session by a new session. The events in the old session's queue are lost."""
        self._lost = reason
        self._cut_poll()

    def repoll(self) -> None:
        """End the current poll, and poll again with all subscriptions in the same request."""
        self._reporter.status.confirmed.clear()
        self._cut_poll()

    def stop(self) -> None:
        """End the loop: at once if a poll is parked, otherwise after the current batch."""
        self._stop.set()
        self._cut_poll()

    def _cut_poll(self) -> None:
        if self._handed and not self._stop.is_set():
            return
        if self._parked is not None and not self._parked.expired():
            self._parked.reschedule(asyncio.get_running_loop().time())

    # -- the heartbeat ------------------------------------------------------------------------------------------------

    async def _heartbeat(self) -> None:
        """Subscribe again whenever the bridge has sent nothing for `quiet_limit` seconds, also while polls fail."""
        while True:
            await asyncio.sleep(max(self._heartbeat_due(), 0.05))
            if self._lost is None and self._heartbeat_due() <= 0:
                try:
                    await self.probe()
                except (ExchangeFailed, UpstreamError) as failure:
                    log.debug("cometd-probe-failed", reason=_reason(failure))

    def _heartbeat_due(self) -> float:
        """Return the seconds until the next heartbeat. Polls delay it, except while a subscription is refused."""
        last = self._probed_at if self._reporter.status.refused else self._sent_at
        parked = self._parked is not None and not self._reporter.status.refused
        return last + self._context.quiet_limit(parked=parked) - time.monotonic()

    async def probe(self) -> None:
        """Subscribe to all channels again. Give the session up if the server no longer knows it.

        Raises:
            BridgeError: the exchange failed. The session may still be alive.
        """
        session = self._transport.client_id
        self._sent_at = self._probed_at = time.monotonic()
        try:
            reply = await self._transport.subscribe_all()
        except ExchangeFailed as failure:
            await self._arrive(getattr(failure, "events", ()))
            raise
        await self._arrive(reply.events)
        if session != self._transport.client_id:
            return
        if is_unknown_client(reply):
            self.give_up("unknown-client")
            return
        self._reporter.subscriptions([reply, *reply.others])
        self._reporter.replied()


def _reason(failure: BridgeError) -> str:
    """Return the stable word of a failure: the reason of a failed exchange, a TLS or proxy fault, or the code."""
    if isinstance(failure, ExchangeFailed):
        return failure.reason
    return (failure.fault if isinstance(failure, UpstreamUnreachable) else None) or failure.code
