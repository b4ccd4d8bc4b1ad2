"""A slot: the accounts whose positions share a partition, published together by one pair of producers.

While one transaction is under way, the calls of the slot's accounts gather. The next transaction takes all of them,
with all their positions (group commit). The two producers have a transactional id each, and take turns: the next
transaction begins as soon as the commit before is answered, while Kafka still writes the markers of that commit.

After a failure, or a commit whose outcome is unknown, the way back is always the same:

1. Throw the producers away (`bridge.delivery.client.producer` says why).
2. Read the positions that are committed, as far as they can be seen behind our own open transaction. A bridge writes
   one for each account when it takes the slot over, its claim, and each carries the `owner` that it drew at random.
   Another owner's position means that another bridge has taken the account over: `Fenced`. This must be known before
   step 3, because new producers with the same transactional ids would fence that other bridge.
3. Make new producers with the same transactional ids. Their start settles the old transaction, one way or the other.
4. Read the positions again. A call is done if its account's position carries the call's number (`turn`). (The
   position's own content could not tell: a call may bring records and leave the position as it was.)
5. Publish the other calls again, after a short pause.

A successor can also be noticed before any failure, by `confirm`.

"Fenced" from the broker is not proof of another bridge: it says the same after its own transaction time-out (a process
that was suspended in mid-transaction). So it takes the way of all failures, but waits for a moment for the claims of a
successor that has just started. Two bridges that start at the same time may fence each other's claims; the one whose
claims are committed last has the accounts, the other one sees it at its next attempt.

Where Kafka refuses records for themselves, the calls that they may belong to go on apart, one in a transaction: the
other calls are committed without them by the next transaction.

Without transactions (`at-least-once`) records are published before the positions, so a failure may repeat them but
never lose them. There the broker fences nobody: a successor's claim is noticed only by `confirm`, or after a failure.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import structlog

from bridge.backoff import Backoff
from bridge.delivery.client.batches import size_of
from bridge.delivery.client.failures import FAILURES, TOO_LARGE, fenced, reason
from bridge.delivery.client.producer import MAX_BATCH, BatchRefused, Producer, await_acknowledgements
from bridge.delivery.client.topics import (
    POSITION_TOPIC,
    create_missing_topics,
    position_topic,
    topic_name,
    transactional_ids_of,
)
from bridge.delivery.position.reader import PositionReader
from bridge.delivery.position.stored import seal_position
from bridge.delivery.slots.attempt import PublishAttempt
from bridge.delivery.slots.claims import Takeover, new_owner
from bridge.delivery.slots.kafka import new_call
from bridge.delivery.slots.state import CONNECTED, PublisherState
from bridge.delivery.slots.transaction import MOST_BYTES, MOST_RECORDS, Call, Transaction
from bridge.errors import KafkaUnavailable
from bridge.observability import metrics
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.delivery.client.batches import Batch
    from bridge.delivery.client.failures import Refusal
    from bridge.delivery.position.reader import Reading
    from bridge.delivery.slots.kafka import KafkaPublisher
    from bridge.delivery.slots.slots import Gate
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

CLAIM_WAIT: Final = 2.0
"""Seconds that a fenced slot waits for a successor's claims before it takes the accounts back."""
CLAIM_POLL: Final = 0.2
LEAST_BATCH: Final = 16 << 10
"""Bytes of a batch under which a topic's refusals teach nothing more."""
MOST_PATIENCE: Final = 2
"""How many times `request_timeout` an attempt may take at the most, after earlier ones have passed theirs: a broker
that is slow, but works, must be able to finish a transaction."""


class Slot:
    """One slot of this process. Its task runs from the first `begin` until the last member has left."""

    def __init__(self, settings: Kafka, number: int, gate: Gate) -> None:
        self.number = number
        self.members: dict[str, KafkaPublisher] = {}
        """The slot's accounts that this process publishes, by name."""
        self._settings = settings
        self._gate = gate
        self._exactly_once = settings.delivery is Delivery.EXACTLY_ONCE
        self._owner = new_owner()
        self._reader = PositionReader(settings, number, self._owner)
        self._waiting: deque[Call] = deque()
        self._apart: deque[Call] = deque()
        self._last_was_apart = False
        self._under_way: Sequence[Call] = ()
        """The calls of the transaction whose outcome is not known."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._fault: Exception | None = None
        """The bug that has ended the task."""
        self._confirming = asyncio.Lock()
        self._confirmed = 0
        self._producers: list[Producer] = []
        self._sending: Producer | None = None
        """The producer whose transaction is not finished."""
        self._connected = False
        self._was_fenced = False
        self._patience = 1
        self._partitions: dict[str, int] = {}
        self._limits: dict[str, int] = {}
        self._backoff = Backoff()

    # -- what the members ask for -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the slot over, unless that is done or under way."""
        if self._fault is not None:
            raise self._fault
        if self._task is None and self.members:
            self._task = asyncio.create_task(self._run(), name=f"slot-{self.number}")
        self._wake.set()

    def submit(self, call: Call) -> None:
        """Have a call committed; its `done` tells when it is."""
        if self._fault is not None:
            raise self._fault
        self._waiting.append(call)
        self._wake.set()

    async def confirm(self) -> None:
        """Look which members another bridge has claimed, as far as Kafka tells now. Calls at the same time share it."""
        asked = self._confirmed
        async with self._confirming:
            if self._confirmed > asked + 1:  # a whole reading has begun and ended since the question
                return
            try:
                self._see_successors(await self._read(settled=False))
            except FAILURES as error:  # the next attempt to publish tells
                log.debug("claims-unreadable", slot=self.number, reason=reason(error))
            self._confirmed += 1

    async def leave(self, member: KafkaPublisher) -> None:
        """Take a member out; the last one ends the slot. Commits nothing."""
        self.members.pop(member.account, None)
        if not self.members:
            await self._end()

    async def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])
        await self._discard()

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Publish until every member has left."""
        try:
            while self.members:
                try:
                    await self._step()
                except FAILURES as error:
                    await self._failed(error)
                    await asyncio.sleep(self._backoff.next_delay())
            await self._discard()
        except Exception as error:  # noqa: BLE001 -- a bug of ours: the members' relays raise it
            self._fault = error
            for member in self.members.values():
                member.failed(error)

    async def _step(self) -> None:
        """Do what is due next: recover, claim, or one transaction."""
        if not self._producers:
            await self._recover()
        unclaimed = [one for one in self.members.values() if one.claim is None]
        if unclaimed:
            await self._claim(unclaimed)
        self._enter_connected()
        await self._until_due()
        async with self._gate.place():
            calls = self._next()
            if calls:
                await self._commit(calls)

    async def _until_due(self) -> None:
        """Wait until there is something to commit or to claim."""
        while not self._waiting:
            now = asyncio.get_running_loop().time()
            due = min((call.not_before for call in self._apart), default=None)
            if not self.members or (due is not None and due <= now):
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(None if due is None else due - now):
                    await self._wake.wait()
            except TimeoutError:
                return
            if any(one.claim is None for one in self.members.values()):
                return

    def _next(self) -> list[Call]:
        """Take what the next transaction commits: all that waits, within bounds; or one call that goes apart."""
        now = asyncio.get_running_loop().time()
        for call in list(self._apart):
            if call.done.done() or call.account not in self.members:
                self._apart.remove(call)
        due = next((call for call in self._apart if call.not_before <= now), None)
        # In turn: calls that go apart neither hold the others up, nor wait for ever.
        if due is not None and (not self._waiting or not self._last_was_apart):
            self._last_was_apart = True
            self._apart.remove(due)
            return [due]
        self._last_was_apart = False
        taken: list[Call] = []
        records = size = 0
        while self._waiting:
            call = self._waiting[0]
            if call.done.done():  # it was cancelled
                self._waiting.popleft()
                continue
            records, size = records + call.records, size + call.size
            if taken and (records > MOST_RECORDS or size > MOST_BYTES):
                break
            taken.append(self._waiting.popleft())
        return taken

    # -- one transaction ----------------------------------------------------------------------------------------------

    async def _commit(self, calls: Sequence[Call]) -> None:
        """Commit the calls in one transaction. Where Kafka refuses some records, all wait for the next one.

        Raises:
            KafkaUnavailable: Kafka refuses a position or a dead letter, and no other account shares the transaction.
        """
        self._under_way = calls
        transaction = Transaction(calls)
        try:
            await self._transaction(transaction)
        except BatchRefused as refused:
            for call in calls:
                metrics.kafka_transactions.labels(call.account, "aborted").inc()
            await self._discard()
            self._under_way = ()
            self._sort_refused(transaction, refused.reasons)
            return
        self._under_way = ()
        for call in calls:
            self._done(call)
        metrics.transaction_accounts.observe(len(calls))
        self._backoff = Backoff()

    async def _transaction(self, transaction: Transaction) -> None:
        """Send everything and commit, all within one deadline."""
        producer = self._sending = self._producers[0]
        async with asyncio.timeout(self._settings.request_timeout * self._patience):
            for topic in transaction.topics:
                self._partitions[topic] = await producer.partitions(topic_name(self._settings, topic))
            await producer.begin()
            sent = []
            for batch in transaction.batches(self._partitions, self._limits):
                sent += await self._send(producer, batch, transaction)
            if not self._exactly_once:
                await await_acknowledgements(sent)
            for batch in transaction.positions():
                sent += await self._send(producer, batch, transaction)
            await await_acknowledgements(sent)
            await producer.commit()
        self._sending = None
        self._patience = 1
        self._producers.append(self._producers.pop(0))

    async def _send(
        self, producer: Producer, batch: Batch, transaction: Transaction
    ) -> list[tuple[Batch, asyncio.Future[Any]]]:
        name = topic_name(self._settings, batch.topic)
        return [(batch, future) for future in await producer.send(name, batch, transaction.timestamp)]

    def _sort_refused(self, transaction: Transaction, reasons: Mapping[Batch, Refusal]) -> None:
        """Put the calls back: those that Kafka may have refused go apart, all others are first in the next transaction.

        Where a topic takes less together than was thought, all go together again, in smaller batches.
        """
        smaller = {sent for sent, why in reasons.items() if self._learns_limit(sent, why) and transaction.shares(sent)}
        blamed = transaction.refused({sent: why for sent, why in reasons.items() if sent not in smaller})
        for call, refused in blamed.items():
            try:
                call.attempt.refused(refused)
            except KafkaUnavailable as error:
                self._put_off(call, error)
            call.apart = True
        self._put_back(transaction.calls)
        self._last_was_apart = True  # the other calls are next

    def _put_off(self, call: Call, error: KafkaUnavailable) -> None:
        """Only people can put right what keeps this call from Kafka; the others are published meanwhile."""
        call.attempt.failed()
        call.not_before = asyncio.get_running_loop().time() + call.backoff.next_delay()
        if call.account in self.members:
            self.members[call.account].enter(PublisherState(connected=False, reason=reason(error)))

    def _learns_limit(self, batch: Batch, why: Refusal) -> bool:
        """Give a topic that refuses many records together as too large smaller batches from now on; False if not so."""
        sizes = [size_of(record) for record in batch.records]
        size = min(MAX_BATCH, sum(sizes))
        if why != TOO_LARGE or max(sizes) > size // 2:
            return False
        before = self._limits.get(batch.topic, MAX_BATCH)
        self._limits[batch.topic] = max(LEAST_BATCH, min(size // 2, before))
        return self._limits[batch.topic] < before

    def _done(self, call: Call) -> None:
        """Take note that the call is committed."""
        member = self.members.get(call.account)
        if member is not None:
            member.committed(call.attempt)
            if call.apart:
                member.enter(CONNECTED)
        if not call.done.done():
            call.done.set_result(None)

    def _put_back(self, calls: Sequence[Call]) -> None:
        """Have these calls tried again, before those that came later."""
        for call in reversed(calls):
            if call.account in self.members and not call.done.done():
                (self._apart if call.apart else self._waiting).appendleft(call)

    # -- taking over, and the way back from failures ------------------------------------------------------------------

    async def _claim(self, members: Sequence[KafkaPublisher]) -> None:
        """Become the accounts' publisher: read, and put the claims beside what was read, in one transaction."""
        await asyncio.gather(*(one.keys.start() for one in members))
        takeover = Takeover(self._settings, self._reader, members)
        found = (await takeover.read()).accounts
        claims = {one.account: await takeover.claim(one, found[one.account], self._owner) for one in members}
        calls = []
        for one in members:
            claim, position = claims[one.account]
            attempt = PublishAttempt(one.account, [], seal_position(position, one.keys, claim), self.number)
            calls.append(new_call(one.account, attempt))
        try:
            await self._transaction(Transaction(calls))
        except BatchRefused as refused:
            await self._discard()
            why = next(iter(refused.reasons.values()))
            raise KafkaUnavailable(f"kafka refuses a record of {POSITION_TOPIC}: {why}") from None
        if await takeover.was_overtaken():
            raise KafkaUnavailable("a bridge of an earlier version published while this one took the account over")
        for call in calls:
            if call.account in self.members:
                self.members[call.account].committed(call.attempt)
        for one in members:
            one.claimed(*claims[one.account])
        self._backoff = Backoff()

    async def _recover(self) -> None:
        """Steps 2 to 4 of the module's text."""
        await asyncio.gather(*(one.keys.start() for one in self.members.values()))
        if self._was_fenced:
            await self._await_claims()
        if self._claimed():
            self._settle(await self._read(settled=False))
        if not self.members:
            return
        await self._start_producers()
        if self._claimed():
            self._settle(await self._read(settled=True))
        self._put_back(self._under_way)
        self._under_way = ()
        self._was_fenced = False

    async def _await_claims(self) -> None:
        """Give a successor the time to commit its claims.

        The broker has fenced this slot, so a claim counts even where this process can't verify it: the successor may
        have another password.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + CLAIM_WAIT
        while self._claimed() and loop.time() < until:
            reading = await self._read(settled=False)
            self._settle(reading)
            for account, found in reading.accounts.items():
                if account in self.members and found.last_owner not in {None, "", self._owner}:
                    self._fence(self.members[account])
            await asyncio.sleep(CLAIM_POLL)

    def _claimed(self) -> list[KafkaPublisher]:
        return [one for one in self.members.values() if one.claim is not None]

    async def _read(self, *, settled: bool) -> Reading:
        return await self._reader.read([one.keys for one in self._claimed()], settled=settled)

    def _settle(self, reading: Reading) -> None:
        """Tell which calls of the transaction of unknown outcome are committed, and which members are fenced."""
        self._see_successors(reading)
        left = []
        for call in self._under_way:
            found = reading.accounts.get(call.account)
            stored = found.stored if found is not None else None
            if stored is not None and stored.owner == self._owner and stored.turn == call.attempt.number:
                self._done(call)
            else:
                left.append(call)
        self._under_way = left

    def _see_successors(self, reading: Reading) -> None:
        for account, found in reading.accounts.items():
            member = self.members.get(account)
            if member is not None and member.is_claimed_by_another(found):
                self._fence(member)

    def _fence(self, member: KafkaPublisher) -> None:
        """Let a member go: another bridge publishes the account now."""
        del self.members[member.account]
        member.fenced()
        self._wake.set()

    async def _start_producers(self) -> None:
        if self._settings.create_topics:
            await create_missing_topics(self._settings)
        ids = transactional_ids_of(self._settings, self.number) if self._exactly_once else (None,)
        self._producers = [Producer(self._settings, one) for one in ids]
        async with asyncio.timeout(self._settings.request_timeout):
            started = await asyncio.gather(*(one.start() for one in self._producers), return_exceptions=True)
            for outcome in started:
                if isinstance(outcome, BaseException):
                    raise outcome
            partitions = await self._producers[0].partitions(position_topic(self._settings))
        if self.number >= partitions:
            raise KafkaUnavailable(f"{position_topic(self._settings)} has fewer partitions than before; start again")

    async def _failed(self, error: BaseException) -> None:
        """Note what went wrong, and throw the producers away."""
        if self._sending is not None:
            result = "unknown" if self._sending.committing else "aborted"
            for call in self._under_way:
                metrics.kafka_transactions.labels(call.account, result).inc()
            if isinstance(error, TimeoutError):
                self._patience = min(2 * self._patience, MOST_PATIENCE)
        for call in self._under_way:
            call.attempt.failed()
        self._was_fenced = self._was_fenced or fenced(error)
        self._connected = False
        for member in self.members.values():
            member.enter(PublisherState(connected=False, reason=reason(error)))
        await self._discard()

    async def _discard(self) -> None:
        producers, self._producers, self._sending = self._producers, [], None
        self._partitions.clear()
        await asyncio.gather(*(one.discard() for one in producers))

    def _enter_connected(self) -> None:
        if not self._connected:
            self._connected = True
            put_off = {call.account for call in self._apart if call.not_before}
            for account, member in self.members.items():
                if account not in put_off:
                    member.enter(CONNECTED)
