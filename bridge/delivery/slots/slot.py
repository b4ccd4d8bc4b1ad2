"""A slot: the accounts whose positions share a partition, published together by one pair of producers.

`_turn` is what a slot does over and over: take accounts over, gather their calls, commit the calls in one transaction
with the accounts' positions (group commit), and tell the accounts. While one transaction is under way the next calls
gather (`waiting`).

After a failure, or a commit whose outcome is unknown, the way back is always the same:

1. Throw the producers away (`producers`).
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

A successor may have only some of the slot's accounts, or none that this bridge has. It publishes with the same pair of
transactional ids all the same. Then this bridge must not take the ids back: it goes on with the accounts that are left,
under the next pair of ids, and claims those accounts again, so that their last records tell the pair. A start uses the
pair that its accounts' last records tell.

Where Kafka refuses records for themselves, the calls that they may belong to go on apart, one in a transaction: the
other calls are committed without them by the next transaction.

Without transactions (`at-least-once`) records are published before the positions, so a failure may repeat them but
never lose them. There the broker fences nobody: a successor's claim is noticed only by `confirm`, or after a failure.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from bridge.backoff import Backoff
from bridge.delivery.client.failures import FAILURES, fenced, reason
from bridge.delivery.client.producer import BatchRefused
from bridge.delivery.client.topics import POSITION_TOPIC, transactional_ids_of
from bridge.delivery.position.owner import new_owner, owner_of
from bridge.delivery.position.reader import PositionReader
from bridge.delivery.position.stored import seal_position
from bridge.delivery.slots.attempt import PublishAttempt
from bridge.delivery.slots.claims import Takeover
from bridge.delivery.slots.kafka import new_call
from bridge.delivery.slots.producers import SlotProducers
from bridge.delivery.slots.state import CONNECTED, PublisherState
from bridge.delivery.slots.transaction import Transaction
from bridge.delivery.slots.waiting import WaitingCalls
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
    from bridge.delivery.slots.transaction import Call
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

CLAIM_WAIT: Final = 2.0
"""Seconds that a fenced slot waits for a successor's claims before it takes the accounts back."""
CLAIM_POLL: Final = 0.2


class Slot:
    """One slot of this process. Its task runs from the first `begin` until the last member has left."""

    def __init__(self, settings: Kafka, number: int, gate: Gate) -> None:
        self.number = number
        self.members: dict[str, KafkaPublisher] = {}
        """The slot's accounts that this process publishes, by name."""
        self._settings = settings
        self._gate = gate
        self._owner = new_owner()
        self._is_pair_known = False
        self._reader = PositionReader(settings, number, self._owner)
        self._producers = SlotProducers(settings, number)
        self._waiting = WaitingCalls(self.members)
        self._under_way: Sequence[Call] = ()
        """The calls of the transaction whose outcome is not known."""
        self._claimed_at = 0
        """The offset before the first record that can be a successor's."""
        self._was_fenced = False
        self._connected = False
        self._backoff = Backoff()
        self._task: asyncio.Task[None] | None = None
        self._fault: Exception | None = None
        """The bug that has ended the task."""
        self._confirming = asyncio.Lock()
        self._confirmed = 0
        self._told = False

    # -- what the members ask for -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the slot over, unless that is done or under way."""
        if self._fault is not None:
            raise self._fault
        if self._task is None and self.members:
            self._task = asyncio.create_task(self._run(), name=f"slot-{self.number}")
        self._waiting.wake()

    def submit(self, call: Call) -> None:
        """Have a call committed; its `done` tells when it is."""
        if self._fault is not None:
            raise self._fault
        self._waiting.add(call)

    async def confirm(self) -> bool:
        """Look which members another bridge has claimed. Calls at the same time share the look.

        Returns whether Kafka could be read.
        """
        asked = self._confirmed
        async with self._confirming:
            if self._confirmed > asked + 1:  # a whole reading has begun and ended since the question
                return self._told
            try:
                self._see_successors(await self._read(settled=False))
                self._told = True
            except FAILURES as error:  # the next attempt to publish tells
                log.debug("claims-unreadable", slot=self.number, reason=reason(error))
                self._told = False
            self._confirmed += 1
            return self._told

    async def leave(self, member: KafkaPublisher) -> None:
        """Take a member out; the last one ends the slot. Commits nothing."""
        self.members.pop(member.account, None)
        if self.members:
            return
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])
        await self._producers.discard()

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Publish until every member has left."""
        try:
            while self.members:
                try:
                    await self._turn()
                except FAILURES as error:
                    await self._failed(error)
                    await asyncio.sleep(self._backoff.next_delay())
            await self._producers.discard()
        except Exception as error:  # noqa: BLE001 -- a bug of ours: the members' relays raise it
            self._fault = error
            for member in self.members.values():
                member.failed(error)

    async def _turn(self) -> None:
        """Recover, take over, gather, commit: each if it is due."""
        if not self._producers.started:
            await self._recover()
        unclaimed = self._unclaimed()
        if unclaimed:
            await self._take_over(unclaimed)
        self._enter_connected()
        await self._waiting.until_due(lambda: not self.members or bool(self._unclaimed()))
        async with self._gate.place():
            calls = self._waiting.take()
            if calls:
                await self._commit(calls)

    # -- taking over --------------------------------------------------------------------------------------------------

    def _claimed(self) -> list[KafkaPublisher]:
        return [one for one in self.members.values() if one.claim is not None]

    def _unclaimed(self) -> list[KafkaPublisher]:
        """The members without a claim that tells the pair of ids that the slot uses now."""
        owner = str(self._owner)
        return [one for one in self.members.values() if one.claim is None or one.claim.owner != owner]

    async def _find_pair(self) -> None:
        """Use the pair of ids that the accounts were published with before."""
        if self._settings.delivery is Delivery.EXACTLY_ONCE and not self._is_pair_known:
            reading = await self._reader.read([one.keys for one in self.members.values()], settled=False)
            owners = [owner_of(found.stored.owner) for found in reading.accounts.values() if found.stored is not None]
            self._use_pair(min((owner.pair for owner in owners if owner is not None), default=0))
            self._is_pair_known = True

    def _use_pair(self, pair: int) -> None:
        self._owner = self._reader.owner = self._owner.with_pair(pair)

    async def _take_over(self, members: Sequence[KafkaPublisher]) -> None:
        """Become the accounts' publisher: read, and put the claims beside what was read, in one transaction."""
        takeover = Takeover(self._settings, self.number, self._reader, self._owner, members)
        reading = await takeover.read()
        self._see_successors(reading)
        members = [one for one in members if one.account in self.members]
        claims = {one.account: await takeover.claim(one, reading.accounts[one.account]) for one in members}
        calls = []
        for one in members:
            claim, position = claims[one.account]
            attempt = PublishAttempt(one.account, [], seal_position(position, one.keys, claim), self.number)
            calls.append(new_call(one.account, attempt))
        if not calls:
            return
        try:
            claimed_at = await self._producers.commit(Transaction(calls))
        except BatchRefused as refused:
            await self._producers.discard()
            why = next(iter(refused.reasons.values()))
            raise KafkaUnavailable(f"kafka refuses a record of {POSITION_TOPIC}: {why}") from None
        overtaken = await takeover.overtaken(claimed_at)
        for one in self._claimed():
            if one.account in overtaken:
                self.give_way(one)
        if any(account in self.members for account in overtaken):
            raise KafkaUnavailable("another bridge published while this one took the account over")
        self._claimed_at = takeover.end
        for call in calls:
            if call.account in self.members:
                self.members[call.account].committed(call.attempt)
                self.members[call.account].claimed(*claims[call.account])
        self._backoff = Backoff()

    def _enter_connected(self) -> None:
        if not self._connected:
            self._connected = True
            put_off = self._waiting.put_off()
            for account, member in self.members.items():
                if account not in put_off:
                    member.enter(CONNECTED)

    # -- one transaction ----------------------------------------------------------------------------------------------

    async def _commit(self, calls: Sequence[Call]) -> None:
        """Commit the calls in one transaction. Where Kafka refuses some records, all wait for the next one."""
        self._under_way = calls
        transaction = Transaction(calls)
        try:
            await self._producers.commit(transaction)
        except BatchRefused as refused:
            for call in calls:
                metrics.kafka_transactions.labels(call.account, "aborted").inc()
            await self._producers.discard()
            self._under_way = ()
            self._sort_refused(transaction, refused.reasons)
            return
        self._under_way = ()
        for call in calls:
            self._acknowledge(call)
        metrics.transaction_accounts.observe(len(calls))
        self._backoff = Backoff()

    def _acknowledge(self, call: Call) -> None:
        """Tell the account that its call is committed."""
        member = self.members.get(call.account)
        if member is not None:
            member.committed(call.attempt)
            if call.apart:
                member.enter(CONNECTED)
        if not call.done.done():
            call.done.set_result(None)

    def _sort_refused(self, transaction: Transaction, reasons: Mapping[Batch, Refusal]) -> None:
        """Put the calls back: those that Kafka may have refused go apart, all others are first in the next transaction.

        Where a topic takes less together than was thought, all go together again, in smaller batches.
        """
        smaller = {
            sent for sent, why in reasons.items() if self._producers.learn_limit(sent, why) and transaction.shares(sent)
        }
        blamed = transaction.refused({sent: why for sent, why in reasons.items() if sent not in smaller})
        for call, refused in blamed.items():
            try:
                call.attempt.refused(refused)
            except KafkaUnavailable as error:
                self._put_off(call, error)
            call.apart = True
        self._waiting.put_back(transaction.calls)

    def _put_off(self, call: Call, error: KafkaUnavailable) -> None:
        """Only people can put right what keeps this call from Kafka; the others are published meanwhile."""
        call.attempt.failed()
        call.not_before = asyncio.get_running_loop().time() + call.backoff.next_delay()
        if call.account in self.members:
            self.members[call.account].enter(PublisherState(connected=False, reason=reason(error)))

    # -- the way back from failures -----------------------------------------------------------------------------------

    async def _failed(self, error: BaseException) -> None:
        """Note what went wrong, and throw the producers away."""
        if self._producers.outcome is not None:
            for call in self._under_way:
                metrics.kafka_transactions.labels(call.account, self._producers.outcome).inc()
            if isinstance(error, TimeoutError):
                self._producers.be_patient()
        for call in self._under_way:
            call.attempt.failed()
        self._was_fenced = self._was_fenced or fenced(error)
        self._connected = False
        for member in self.members.values():
            member.enter(PublisherState(connected=False, reason=reason(error)))
        await self._producers.discard()

    async def _recover(self) -> None:
        """Steps 2 to 4 of the module's text; at the start only step 3."""
        await asyncio.gather(*(one.keys.start("position") for one in self.members.values()))
        await self._find_pair()
        if self._was_fenced and await self._await_claims():
            self._settle(await self._read(settled=True))
            self._change_pair()
        elif self._claimed():
            self._settle(await self._read(settled=False))
        if not self.members:
            return
        await self._producers.start(self._owner.pair)
        if self._claimed():
            self._settle(await self._read(settled=True))
        self._waiting.put_back(self._under_way)
        self._under_way = ()
        self._was_fenced = False

    async def _await_claims(self) -> bool:
        """Give a successor the time to commit its claims; tell whether it uses this slot's pair of transactional ids.

        The broker has fenced this slot, so a claim counts even where this process can't verify it: the successor may
        have another password.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + CLAIM_WAIT
        while self._claimed() and loop.time() < until:
            reading = await self._read(settled=False)
            self._settle(reading)
            for account, found in reading.accounts.items():
                if account in self.members and found.last_owner and not self._owner.wrote(found.last_owner):
                    self.give_way(self.members[account])
            if reading.last_collision >= self._claimed_at:
                return bool(self._claimed())
            await asyncio.sleep(CLAIM_POLL)
        return False

    def _change_pair(self) -> None:
        """Leave the pair of transactional ids to the bridge that has fenced this one, and use the next pair."""
        self._waiting.put_back(self._under_way)
        self._under_way = ()
        self._was_fenced = False
        self._use_pair(self._owner.pair + 1)
        log.warning(
            "slot-shared",
            slot=self.number,
            accounts=sorted(self.members),
            transactional_ids=transactional_ids_of(self._settings, self.number, self._owner.pair),
            effect="another bridge publishes other accounts of the slot; this one goes on with other transactional ids",
        )

    async def _read(self, *, settled: bool) -> Reading:
        return await self._reader.read([one.keys for one in self._claimed()], settled=settled)

    def _settle(self, reading: Reading) -> None:
        """Tell which calls of the transaction of unknown outcome are committed, and which members are fenced."""
        self._see_successors(reading)
        left = []
        for call in self._under_way:
            found = reading.accounts.get(call.account)
            stored = found.stored if found is not None else None
            if stored is not None and self._owner.wrote(stored.owner) and stored.turn == call.attempt.number:
                self._acknowledge(call)
            else:
                left.append(call)
        self._under_way = left

    def _see_successors(self, reading: Reading) -> None:
        for account, found in reading.accounts.items():
            member = self.members.get(account)
            if member is not None and member.is_claimed_by_another(found):
                self.give_way(member)

    def give_way(self, member: KafkaPublisher) -> None:
        """Let a member go: another bridge publishes the account now."""
        self.members.pop(member.account, None)
        member.fenced()
        self._waiting.wake()
