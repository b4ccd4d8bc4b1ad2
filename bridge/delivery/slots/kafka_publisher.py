"""Publishes one account's records through the account's slot.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import structlog

from bridge.delivery.client.failures import FAILURES, reason
from bridge.delivery.client.topics import topic_name
from bridge.delivery.position.owner import owner_of
from bridge.delivery.position.position import EMPTY_POSITION
from bridge.delivery.position.stored import seal_position
from bridge.delivery.slots.attempt import PublishAttempt
from bridge.delivery.slots.publisher import revise_nothing
from bridge.delivery.slots.state import CONNECTED, FENCED, NOT_STARTED, STOPPED, PublisherState
from bridge.delivery.slots.transaction import Call
from bridge.errors import Fenced
from bridge.observability import metrics
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.delivery.position.keys import AccountKeys
    from bridge.delivery.position.position import Position
    from bridge.delivery.position.reader import Found
    from bridge.delivery.position.stored import StoredPosition
    from bridge.delivery.position.unsigned_events import UnsignedEvents
    from bridge.delivery.slots.publisher import Revise
    from bridge.delivery.slots.slot import Slot
    from bridge.delivery.slots.slots import Slots
    from bridge.events import Encoding, Record
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)


class KafkaPublisher:
    """The `Publisher` of one account. The slot publishes the records, together with those of other accounts."""

    def __init__(
        self, slots: Slots, settings: Kafka, keys: AccountKeys, encoding: Encoding, unsigned: UnsignedEvents
    ) -> None:
        self.account = keys.account
        self.keys = keys
        self.unsigned = unsigned
        self.state: PublisherState = NOT_STARTED
        self.claim: StoredPosition | None = None
        """The account's last record in the position topic, without the position. None before the takeover."""
        self.keys_changed = False
        """Whether the slot must write the position again, because the account's password has changed."""
        self._slots = slots
        self._slot: Slot | None = None
        self._settings = settings
        self._encoding = encoding
        self._position = EMPTY_POSITION
        """The position that was read in the takeover."""
        self._taken_over = asyncio.Event()
        self._fault: BaseException | None = None
        self._call: Call | None = None
        self._publishing = EMPTY_POSITION
        """The position that the current call of `publish` publishes."""
        self._log = log.bind(account=keys.account)
        self._committed = metrics.kafka_transactions.labels(self.account, "committed")
        self._published: dict[str, Any] = {}

    async def start(self) -> Position | None:
        """See `Publisher.start`."""
        backoff = Backoff()
        while self._slot is None:
            try:
                self._slot = await self._slots.slot_of(self)
            except FAILURES as error:
                self.enter(PublisherState(connected=False, reason=reason(error)))
                await asyncio.sleep(backoff.next_delay())
        self._slot.begin()
        await self._taken_over.wait()
        if self._fault is not None:
            raise self._fault
        return None if self._position == EMPTY_POSITION else self._position

    async def publish(self, records: Sequence[Record], position: Position, revise: Revise = revise_nothing) -> None:
        """See `Publisher.publish`."""
        if self.state is FENCED:
            self._raise_fenced()
        if self.claim is None or self._slot is None:
            raise RuntimeError("publish() before start()")
        self._publishing = position
        stored = self._next_position(self.claim)
        attempt = PublishAttempt(self.account, records, stored, self._slot.number, self._encoding, revise=revise)
        self._call = call = new_call(self.account, attempt)
        self._slot.submit(call)
        try:
            await call.done
        finally:
            self._call = None

    async def confirm(self) -> None:
        """See `Publisher.confirm`."""
        if self._slot is not None and self.state is not FENCED:
            confirmed = await self._slot.confirm()
            if not confirmed and self._slots.in_fleet:
                self._slot.give_way(self)
        if self.state is FENCED:
            self._raise_fenced()

    def sign_again(self) -> None:
        """See `Publisher.sign_again`."""
        if self.claim is not None and self._slot is not None and self.state is not FENCED:
            self.keys_changed = True
            self._slot.begin()

    async def stop(self) -> None:
        """See `Publisher.stop`."""
        if self.state is not FENCED:
            self.enter(STOPPED)
        await self._slots.left(self)

    def _next_position(self, last: StoredPosition) -> StoredPosition:
        self.claim = msgspec.structs.replace(last, turn=last.turn + 1, revision=last.revision + 1)
        return seal_position(self._publishing, self.keys, self.claim)

    # -- called by the slot -------------------------------------------------------------------------------------------

    def claiming(self, claim: StoredPosition, position: Position, slot: int) -> Call:
        """Return the call that publishes the account's claim, with `position`."""
        return new_call(self.account, PublishAttempt(self.account, [], seal_position(position, self.keys, claim), slot))

    def claimed(self, claim: StoredPosition, position: Position) -> None:
        """Record that the account's claim is committed, with `position`.

        If a call of `publish` waits, its position gets the number that follows the claim's number.
        """
        self.claim, self.keys_changed = claim, False
        if self._call is not None and not self._call.done.done():
            self._call.attempt.carry(self._next_position(claim))
        self.unsigned.end(claim.unsigned_before, claim.unsigned_until)
        self._position = position
        self._taken_over.set()

    def committed(self, attempt: PublishAttempt) -> None:
        """Update the metrics after the commit of a call."""
        self._committed.inc()
        for topic, count in attempt.counts().items():
            counter = self._published.get(topic)
            if counter is None:
                name = topic_name(self._settings, topic)
                counter = self._published[topic] = metrics.events_published.labels(self.account, name)
            counter.inc(count)
        for why, count in attempt.dead_lettered.items():
            metrics.events_dead_lettered.labels(self.account, why).inc(count)
            self._log.warning("dead-lettered", reason=why, records=count)

    def is_claimed_by_another(self, found: Found) -> bool:
        """Return whether another bridge has claimed the account.

        Records of version 0.1.0 are no claims, because their signature does not cover `owner`.
        """
        stored = found.stored
        if self.claim is None or stored is None:
            return False
        own = owner_of(self.claim.owner)
        return bool(stored.revision) and not (own is not None and own.wrote(stored.owner))

    def fenced(self) -> None:
        """Record that another bridge has claimed the account. A waiting `start` or `publish` raises `Fenced`."""
        self.enter(FENCED)
        if self._call is not None or not self._taken_over.is_set():
            self.failed(Fenced(f"account {self.account}: {FENCED.reason}"))

    def failed(self, error: BaseException) -> None:
        """Make the waiting `start` or `publish` raise `error`."""
        if self._call is not None and not self._call.done.done():
            self._call.done.set_exception(error)
        self._fault = error
        self._taken_over.set()

    def enter(self, state: PublisherState) -> None:
        """Change the state, and log the change. The state `FENCED` is final."""
        if state == self.state or self.state is FENCED:
            return
        self.state = state
        if state is CONNECTED:
            self._log.info("kafka-connected")
        elif state.reason is not None and state is not STOPPED:
            self._log.warning("kafka-disconnected", reason=state.reason)

    def _raise_fenced(self) -> NoReturn:
        raise Fenced(f"account {self.account}: {FENCED.reason}")


def new_call(account: str, attempt: PublishAttempt) -> Call:
    """Return a new call for `attempt`. It has not been sent yet."""
    return Call(account, attempt, attempt.count, attempt.size, asyncio.get_running_loop().create_future())
