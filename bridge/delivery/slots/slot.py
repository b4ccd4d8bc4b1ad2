"""A slot: publishes all accounts whose positions are in one partition of the position topic `bridge-state`.

A slot has one pair of producers for its accounts. `_turn` is the step that a slot repeats:

1. Take over the accounts that are new.
2. Wait until an account calls `publish`. Calls that arrive during a transaction wait for the next one (`waiting`).
3. Commit all waiting calls and the positions of their accounts in one transaction (group commit).

After a failure, or after a commit with an unknown outcome, the slot always recovers in the same way:

1. Discard the producers (`commit`).
2. Read the committed positions. An open transaction of this slot may hide some of them. When a bridge takes a slot
   over, it writes a claim for each account: a position with an `owner`, which the bridge draws at random. If a position
   has another `owner`, another bridge has taken the account over (`Fenced`). The slot must find this out before step 3,
   because new producers with the same transactional ids would fence that other bridge.
3. Make new producers with the same transactional ids. At their start Kafka commits or aborts the old transaction.
4. Read the positions again. A call was committed if the position of its account has the number of the call (`turn`).
   The other fields don't show this, because a call may publish records without a change of the position.
5. Publish the other calls again after a short pause.

`confirm` reads the positions too. So a slot can also find a successor before any failure.

If the broker fences a producer, this does not prove that another bridge exists. The broker also fences a producer after
the transaction time-out, for example if the process was suspended in a transaction. So the slot recovers as after other
failures. But first it waits a short time for the claims of a successor that has just started. Two bridges that start at
the same time may fence each other before their claims are committed. The bridge that commits its claims last owns the
accounts. The other bridge finds these claims at its next attempt, and a bridge that hung in its takeover does so too.

A successor may have only some of the accounts of the slot, or none of the accounts that this bridge has. It still uses
the same pair of transactional ids. Then this bridge must not take the ids back. It continues with its remaining
accounts and the next pair of ids. It also writes new claims for these accounts, because an account's last record must
show which pair is used. At its start a bridge uses the pair that the last records of its accounts show.

If Kafka refuses records, each affected call gets its own transaction. The next transaction has only the other calls.

With `at-least-once` there are no transactions. Records are published before the positions, so a failure can repeat
records but never lose them. The broker fences nobody. The slot finds a claim only by `confirm` or after a failure.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from bridge.delivery.client.failures import FAILURES, fenced, reason
from bridge.delivery.client.producer import BatchRefused
from bridge.delivery.client.topics import POSITION_TOPIC, create_missing_topics, transactional_ids_of
from bridge.delivery.position.owner import new_owner
from bridge.delivery.position.reader import PositionReader
from bridge.delivery.slots.commit import SlotProducers
from bridge.delivery.slots.members import Members
from bridge.delivery.slots.state import CONNECTED, PublisherState
from bridge.delivery.slots.takeover import Predecessors, Takeover
from bridge.delivery.slots.transaction import Transaction
from bridge.delivery.slots.waiting import WaitingCalls
from bridge.errors import KafkaUnavailable
from bridge.observability import metrics
from bridge.pacing import Backoff, SharedCall
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.delivery.client.batches import Batch
    from bridge.delivery.client.failures import Refusal
    from bridge.delivery.position.reader import Reading
    from bridge.delivery.slots.kafka_publisher import KafkaPublisher
    from bridge.delivery.slots.transaction import Call
    from bridge.pacing import Gate
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

CLAIM_WAIT: Final = 2.0
"""Seconds that a fenced slot waits for a successor's claims before it takes the accounts back."""
CLAIM_POLL: Final = 0.2


class Slot:
    """One slot of this process. Its task runs from the first `begin` until the last account has left."""

    def __init__(self, settings: Kafka, number: int, gate: Gate) -> None:
        self.number = number
        self.members = Members()
        self._settings = settings
        self._gate = gate
        self._owner = new_owner()
        self._predecessors = Predecessors()
        self._reader = PositionReader(settings, number, self._owner)
        self._producers = SlotProducers(settings, number)
        self._waiting = WaitingCalls(self.members)
        self._under_way: Sequence[Call] = ()
        """The calls of the current transaction, or of the last one while its outcome is unknown."""
        self._claimed_at = 0
        """The end offset of the partition before this bridge's claims. A successor's records come after this offset."""
        self._was_fenced = False
        self._connected = False
        self._backoff = Backoff()
        self._task: asyncio.Task[None] | None = None
        self._fault: Exception | None = None
        """The error that has ended the task, which is a bug of the bridge. None while the task runs."""
        self._claims = SharedCall(self._see_claims)

    # -- called by the publishers -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the slot's task if it does not run yet. The task takes new accounts over."""
        if self._fault is not None:
            raise self._fault
        if (self._task is None or self._task.done()) and self.members:
            self._task = asyncio.create_task(self._run(), name=f"slot-{self.number}")
        self._waiting.wake()

    def submit(self, call: Call) -> None:
        """Add a call for one of the next transactions. Its future `done` ends after the commit."""
        if self._fault is not None:
            raise self._fault
        self._waiting.add(call)

    async def confirm(self) -> bool:
        """Check whether another bridge has claimed accounts, and remove these. Parallel calls share one reading.

        Returns whether Kafka could be read.
        """
        return await self._claims()

    async def _see_claims(self) -> bool:
        try:
            self._see_successors(await self._read(settled=False))
        except FAILURES as error:  # the next attempt to publish checks again
            log.debug("claims-unreadable", slot=self.number, reason=reason(error))
            return False
        return True

    async def leave(self, member: KafkaPublisher) -> None:
        """Remove an account without a commit. After the last account, end the task and discard the producers."""
        self.members.remove(member)
        self._predecessors.forget(member.account)
        if self.members:
            return
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])
        if self._task is None:  # otherwise an account has joined meanwhile
            await self._producers.discard()

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Repeat `_turn` until every account has left. Recover from failures."""
        try:
            while self.members:
                try:
                    await self._turn()
                except FAILURES as error:
                    await self._failed(error)
                    await asyncio.sleep(self._backoff.next_delay())
                if not self.members:
                    await self._producers.discard()
        except Exception as error:  # noqa: BLE001 -- a bug of the bridge; the relays of the accounts raise it
            self._fault = error
            for member in self.members.values():
                member.failed(error)

    async def _turn(self) -> None:
        """Recover if necessary, take new accounts over, wait for calls, and commit the calls in one transaction."""
        if not self._producers.started:
            await self._recover()
        unclaimed = self.members.unclaimed(self._owner)
        if unclaimed:
            await self._take_over(unclaimed)
        self._enter_connected()
        await self._waiting.until_due(lambda: not self.members or bool(self.members.unclaimed(self._owner)))
        async with self._gate.place():
            calls = self._waiting.take()
            if calls:
                await self._commit(calls)

    # -- taking over --------------------------------------------------------------------------------------------------

    async def _look_at_predecessors(self) -> None:
        """Choose the pair of ids. Then leave accounts to bridges that took them over after this takeover began."""
        unclaimed = [one for one in self.members.values() if one.claim is None]
        await asyncio.gather(*(one.keys.start("position") for one in unclaimed))
        if not unclaimed:
            return
        reading = await self._reader.read([one.keys for one in unclaimed], settled=False)
        self._predecessors.note(reading, unclaimed, self.members)
        if (pair := self._predecessors.first_pair(reading)) is not None:
            self._owner = self._reader.owner = self._owner.with_pair(pair)
        for account in self._predecessors.overtakers(reading, self._owner):
            self.give_way(self.members[account])

    async def _take_over(self, members: Sequence[KafkaPublisher]) -> None:
        """Take accounts over: read their positions, and commit a claim with each position, all in one transaction."""
        await asyncio.gather(*(one.keys.start("position") for one in members))
        parts = self._settings, self.number, self._reader, self._owner, members
        takeover = Takeover(*parts, last_revision=self.members.last_revision)
        reading = await takeover.read()
        self._predecessors.note(reading, members, self.members)
        self._see_successors(reading)
        members = [one for one in members if self.members.get(one.account) is one]
        claims = {one.account: await takeover.claim(one, reading.accounts[one.account]) for one in members}
        if self._settings.delivery is not Delivery.EXACTLY_ONCE:  # Kafka would not fence this process after a hang
            await self._look_at_predecessors()
            members = [one for one in members if self.members.get(one.account) is one]
        calls = [one.claiming(*claims[one.account], self.number) for one in members]
        if not calls:
            return
        try:
            claimed_at = await self._producers.commit(Transaction(calls))
        except BatchRefused as refused:
            await self._producers.discard()
            why = next(iter(refused.reasons.values()))
            raise KafkaUnavailable(f"kafka refuses a record of {POSITION_TOPIC}: {why}") from None
        overtaken = await takeover.overtaken(claimed_at)
        for one in self.members.claimed():
            if one.account in overtaken:
                self.give_way(one)
        if any(account in self.members for account in overtaken):
            raise KafkaUnavailable("another bridge published while this one took the account over")
        self._claimed_at = takeover.end
        for call in calls:
            member = self.members.get(call.account)
            if member is not None:
                joins = member.claim is None
                member.committed(call.attempt)
                member.claimed(*claims[call.account])
                if joins and self._connected:
                    member.enter(CONNECTED)
        self._backoff = Backoff()

    def _enter_connected(self) -> None:
        if not self._connected:
            self._connected = True
            self.members.enter(CONNECTED, without=self._waiting.put_off())

    # -- one transaction ----------------------------------------------------------------------------------------------

    async def _commit(self, calls: Sequence[Call]) -> None:
        """Commit the calls in one transaction. If Kafka refuses records, all calls wait for further transactions."""
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
            self.members.committed(call)
        metrics.transaction_accounts.observe(len(calls))
        self._backoff = Backoff()

    def _sort_refused(self, transaction: Transaction, reasons: Mapping[Batch, Refusal]) -> None:
        """Put the calls back after a refusal. Each affected call gets its own transaction, after the other calls.

        If only a shared batch was too large, the calls stay together, and the slot makes smaller batches for its topic.
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
        """Delay a call that fails until a person solves the problem. Other calls are published meanwhile."""
        call.attempt.failed()
        call.put_off(asyncio.get_running_loop().time())
        if call.account in self.members:
            self.members[call.account].enter(PublisherState(connected=False, reason=reason(error)))

    # -- the way back from failures -----------------------------------------------------------------------------------

    async def _failed(self, error: BaseException) -> None:
        """Record the failure in the state, the log and the metrics, and discard the producers."""
        if self._producers.outcome is not None:
            for call in self._under_way:
                metrics.kafka_transactions.labels(call.account, self._producers.outcome).inc()
            if isinstance(error, TimeoutError):
                self._producers.be_patient()
        for call in self._under_way:
            call.attempt.failed()
        self._was_fenced = self._was_fenced or fenced(error)
        self._connected = False
        self.members.enter(PublisherState(connected=False, reason=reason(error)))
        await self._producers.discard()

    async def _recover(self) -> None:
        """Do the steps 2 to 4 of the module's docstring. At the first start do only step 3."""
        if self._settings.create_topics:  # reading a topic that somebody has deleted does not create it
            await create_missing_topics(self._settings)
        await self._look_at_predecessors()
        if self._was_fenced and await self._await_claims():
            self._settle(await self._read(settled=True))
            self._change_pair()
        elif self.members.claimed():
            self._settle(await self._read(settled=False))
        if not self.members:
            return
        await self._producers.start(self._owner.pair)
        if self.members.claimed():
            self._settle(await self._read(settled=True))
        self._waiting.put_back(self._under_way)
        self._under_way = ()
        self._was_fenced = False

    async def _await_claims(self) -> bool:
        """Wait up to `CLAIM_WAIT` for the claims of a successor. Fence the accounts that the successor has claimed.

        Returns True if the successor uses this slot's pair of transactional ids and this slot still has accounts. The
        broker has fenced this slot, so a claim counts even if its signature is not valid here. The successor may have
        another password.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + CLAIM_WAIT
        while self.members.claimed() and loop.time() < until:
            reading = await self._read(settled=False)
            self._settle(reading)
            for account, found in reading.accounts.items():
                if account in self.members and found.last_owner and not self._owner.wrote(found.last_owner):
                    self.give_way(self.members[account])
            if reading.last_collision >= self._claimed_at:
                return bool(self.members.claimed())
            await asyncio.sleep(CLAIM_POLL)
        return False

    def _change_pair(self) -> None:
        """Use the next pair of transactional ids, because the bridge that has fenced this one uses the present pair."""
        self._waiting.put_back(self._under_way)
        self._under_way = ()
        self._was_fenced = False
        self._owner = self._reader.owner = self._owner.with_pair(self._owner.pair + 1)
        log.warning(
            "slot-shared",
            slot=self.number,
            accounts=sorted(self.members),
            transactional_ids=transactional_ids_of(self._settings, self.number, self._owner.pair),
            effect="another bridge publishes other accounts of the slot; this bridge uses other transactional ids now",
        )

    async def _read(self, *, settled: bool) -> Reading:
        return await self._reader.read([one.keys for one in self.members.claimed()], settled=settled)

    def _settle(self, reading: Reading) -> None:
        """Find out which calls of the last transaction are committed, and which accounts another bridge has claimed."""
        self._see_successors(reading)
        left = []
        for call in self._under_way:
            found = reading.accounts.get(call.account)
            stored = found.stored if found is not None else None
            if stored is not None and self._owner.wrote(stored.owner) and stored.turn == call.attempt.number:
                self.members.committed(call)
            else:
                left.append(call)
        self._under_way = left

    def _see_successors(self, reading: Reading) -> None:
        for member in self.members.claimed_by_another(reading):
            self.give_way(member)

    def give_way(self, member: KafkaPublisher) -> None:
        """Remove an account, because another bridge has taken it over. Its publisher raises `Fenced`."""
        self.members.remove(member)
        member.fenced()
        self._waiting.wake()
