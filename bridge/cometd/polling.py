"""The poll loop of a CometD session: poll, hand over, acknowledge; and one heartbeat beside it.

The loop is its own back-pressure: it polls on only when the sink has kept the batch for good, and the poll carries the
acknowledgement, so the server's queue is the buffer. The heartbeat sends the server something whenever nothing of ours
went there for a third of its maxInterval: while a batch is held that keeps the session alive, while a poll is parked it
tells of a session that the server has removed (the poll itself would tell only at its end, 30 s later), and always it
repeats the subscriptions that the server refused. Measured rules: CometD server 3.1.5.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from bridge.backoff import Backoff
from bridge.cometd.acknowledgement import UNUSABLE
from bridge.cometd.advice import Advice, Reconnect
from bridge.cometd.messages.batch import Batch, Event, Opening
from bridge.cometd.messages.message import error_code, is_unknown_client
from bridge.cometd.status import State
from bridge.errors import BridgeError, CometdError, ExchangeFailed, UpstreamError, UpstreamUnreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.cometd.session_context import SessionContext
    from bridge.cometd.transport import LongPollingTransport, Reply

log = structlog.get_logger(__name__)

MISMATCHED: Final = "mismatched-reply"
"""The reason of a reply that is not to what was asked."""
UNNUMBERED: Final = frozenset({MISMATCHED, UNUSABLE})
"""Reasons that leave it open whether the server sends again what was handed over of the reply already."""
MOST_UNUSABLE: Final = 3
"""Replies in a row whose number can't follow the last one. After these the session can bring nothing any more."""
DISPLACED: Final = "http-408"
"""How the server ends a poll when a newer one of the same session has come (CometD's AbstractHttpTransport)."""
EMPTY_REPLY_CAP: Final = 1.0
"""Seconds: the longest pause after empty replies that came at once, from a server that does not park polls."""


class Polling:
    """Keeps one session going on `transport`; `run` ends by `stop`, cancellation, or an error of the sink."""

    def __init__(self, transport: LongPollingTransport, context: SessionContext) -> None:
        self._transport = transport
        self._context = context
        self._reporter = context.reporter
        self._opening: Opening | None = None
        """The session's word to the sink, due with its first good poll: until then it may be none."""
        self._waiting: list[Batch] = []
        """What exists only here and has arrived at the sink; it follows the batch that is under way."""
        self._arrivals = asyncio.Lock()
        self._handed = 0
        """How many events of the current poll's reply were handed to the sink before the whole reply arrived."""
        self._unusable = 0
        """How many replies in a row had a number that can't be acknowledged."""
        self._lost: str | None = None
        """Why this session must be given up, as the heartbeat or the watchdog found."""
        self._stop = asyncio.Event()
        self._parked: asyncio.Timeout | None = None
        self._sent_at = 0.0
        self._probed_at = 0.0

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Poll until stopped."""
        tasks = [asyncio.create_task(self._poll_on()), asyncio.create_task(self._heartbeat())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._reporter.disconnected(State.STOPPED, None)
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
        """Wait, but not past a stop."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stop.wait()

    async def _poll(self, *, at_once: bool) -> Reply | None:
        """Do one poll; None when it was cut short, because the session is lost or the bridge stops."""
        if self._lost is None:
            self._sent_at, self._handed = time.monotonic(), 0
            self._reporter.status.reply_due_at = time.monotonic() + self._transport.poll_timeout
            self._parked = parked = asyncio.timeout(None)
            try:
                async with parked:
                    return await self._transport.poll(at_once=at_once, subscribe=self._subscriptions_due())
            except TimeoutError:
                if not parked.expired():  # a failure of the poll itself: `_cut_poll` had no part in it
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
        """Do what the server advises when it refuses a poll."""
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
        """Hand a good reply over, and acknowledge it when the sink has it."""
        now = time.time()
        self._reporter.subscriptions(reply.others)
        self._reporter.connected()
        number = self._context.acks.number_of(reply)
        batch = Batch(self._session(), base, number, reply.events, now, offset=self._handed)
        if batch.events and not batch.sent_again:
            await self._arrive(batch.events)
        else:
            await self._hand_over_waiting()
            await self._hand_over(batch)
        self._context.acks.acknowledge(number)
        await self._hand_over_waiting()

    async def received_part(self, events: list[Event]) -> None:
        """Hand over events of a poll's reply whose rest is on the wire.

        From here on only a stop ends that poll early, and never while the sink has the events: what the reply holds may
        be the last that the session gives.
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
            await asyncio.sleep(0)  # here the poll ends

    async def _arrive(self, events: Sequence[Event]) -> None:
        """Let the sink keep what exists only here, and queue it; nothing else happens to it before."""
        if events:
            batch = Batch(self._session(), None, None, events, time.time())
            async with self._arrivals:
                await self._context.sink.arrived(batch)
                self._waiting.append(batch)

    async def _hand_over_waiting(self) -> None:
        while self._waiting:
            await self._hand_over(self._waiting.pop(0))

    async def _hand_over(self, batch: Batch) -> None:
        if self._opening is not None:
            await self._context.sink.opened(self._opening)
            self._opening = None
        self._reporter.holding(batch)
        try:
            await self._context.sink.received(batch)
        finally:
            self._reporter.released()

    # -- sessions -----------------------------------------------------------------------------------------------------

    def resumed(self) -> None:
        """Note that the transport goes on with an earlier process's session."""
        self._begin("start", resumed=True)

    async def open_session(self, reason: str) -> None:
        """Shake hands until there is a new session, never faster than the guard allows."""
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
                return

    async def _shake_hands(self) -> str:
        try:
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
        self._lost = None
        self._opening = Opening(
            self._session(), resumed=resumed, ack_extension=self._context.acks.enabled, reason=reason
        )
        self._reporter.began(self._opening)

    def _session(self) -> str:
        client_id = self._transport.client_id
        if client_id is None:  # unreachable: both a handshake and a resume bring one
            raise CometdError("there is no session")
        return client_id

    def give_up(self, reason: str) -> None:
        """Leave the current session for a new one (the watchdog's last step); what the server queued in it is lost."""
        self._lost = reason
        self._cut_poll()

    def repoll(self) -> None:
        """Poll anew, with all subscriptions in the same request."""
        self._reporter.status.confirmed.clear()
        self._cut_poll()

    def stop(self) -> None:
        """Let the loop end after the batch that is under way, or at once while a poll is parked."""
        self._stop.set()
        self._cut_poll()

    def _cut_poll(self) -> None:
        if self._handed and not self._stop.is_set():
            return
        if self._parked is not None and not self._parked.expired():
            self._parked.reschedule(asyncio.get_running_loop().time())

    # -- the heartbeat ------------------------------------------------------------------------------------------------

    async def _heartbeat(self) -> None:
        """Whenever nothing of ours went to the server for a while, subscribe again.

        This goes on while polls fail. Otherwise a poll that hangs could be the last message that the server gets from
        us.
        """
        while True:
            await asyncio.sleep(max(self._heartbeat_due(), 0.05))
            if self._lost is None and self._heartbeat_due() <= 0:
                try:
                    await self.probe()
                except (ExchangeFailed, UpstreamError) as failure:
                    log.debug("cometd-probe-failed", reason=_reason(failure))

    def _heartbeat_due(self) -> float:
        """Return the seconds until then. A refused subscription is repeated however busy the polls are."""
        last = self._probed_at if self._reporter.status.refused else self._sent_at
        return last + self._context.quiet_limit - time.monotonic()

    async def probe(self) -> None:
        """Subscribe again to everything; give the session up if the server no longer knows it.

        Raises:
            BridgeError: the exchange failed, which says nothing of the session.
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
    """Return the short stable word for a failure: the cause of a failed exchange, else the error's code."""
    if isinstance(failure, ExchangeFailed):
        return failure.reason
    return (failure.fault if isinstance(failure, UpstreamUnreachable) else None) or failure.code
