"""Publishes one account's records to Kafka, exactly once, with the position in the same transaction.

After a failure, or a commit whose outcome is unknown, the way back is always the same:

1. Throw the producer away (`bridge.delivery.client.producer` says why).
2. Read the position that is committed, as far as it can be seen behind our own open transaction. Every publisher
   writes one at its start, its claim, and each carries its writer's `owner`, drawn at random. Another owner's position
   means that another bridge has taken over: `Fenced`. This must be known before step 3, because a new producer with
   the same transactional id would fence that other bridge.
3. Make a new producer with the same transactional id. Its start settles the old transaction, one way or the other.
4. Read the position again. If it carries the number of the call in hand (`turn`), the transaction was committed: done.
   (The position's own content could not tell: a call may bring records and leave the position as it was.)
5. Else publish again, after a short pause.

A successor can also be noticed before any failure, by `confirm`.

"Fenced" from the broker is not proof of another bridge: it says the same after its own transaction time-out (a process
that was suspended in mid-transaction). So it takes the way of all failures, but waits for a moment for the claim of a
successor that has just started. Two bridges that start at the same time may fence each other's claim; the one whose
claim is committed last has the account, the other one sees it at its next attempt.

Without transactions (`at-least-once`) records are published before the position, so a failure may repeat them but
never lose them. There the broker fences nobody: a successor's claim is noticed only by `confirm`, or after a failure.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec
import structlog

from bridge.backoff import Backoff
from bridge.delivery.client.batches import size_of
from bridge.delivery.client.consumer import last_offsets
from bridge.delivery.client.failures import DENIED, FAILURES, TOO_LARGE, fenced, reason
from bridge.delivery.client.partition import partition_of
from bridge.delivery.client.producer import MAX_BATCH, BatchRefused, Producer, await_acknowledgements
from bridge.delivery.client.topics import create_missing_topics, position_topic, topic_name, transactional_id_of
from bridge.delivery.position.earlier_seal import Unsealable
from bridge.delivery.position.position import EMPTY_POSITION, LOST
from bridge.delivery.position.reader import PositionReader
from bridge.delivery.position.stored import StoredPosition, open_position, seal_position
from bridge.delivery.position.unsigned import UnsignedEvents
from bridge.delivery.publisher.attempt import PublishAttempt
from bridge.delivery.publisher.publisher import revise_nothing
from bridge.delivery.publisher.state import CONNECTED, FENCED, NOT_STARTED, STOPPED, PublisherState
from bridge.errors import Fenced
from bridge.events import JSON, operation
from bridge.observability import metrics
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.delivery.client.batches import Batch
    from bridge.delivery.client.failures import Refusal
    from bridge.delivery.position.keys import AccountKeys
    from bridge.delivery.position.position import Position
    from bridge.delivery.position.reader import Found
    from bridge.delivery.publisher.publisher import Revise
    from bridge.events import Encoding, Record
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

CLAIM_WAIT: Final = 2.0
"""Seconds that a fenced publisher waits for a successor's claim before it takes the account back."""
CLAIM_POLL: Final = 0.2
LEAST_BATCH: Final = 16 << 10
"""Bytes of a batch under which a topic's refusals teach nothing more."""
MOST_PATIENCE: Final = 2
"""How many times `request_timeout` an attempt may take at the most, after earlier ones have passed theirs: a broker
that is slow, but works, must be able to finish a transaction."""


class KafkaPublisher:
    """The `Publisher` of the real thing. One account, used by one task at a time."""

    def __init__(
        self,
        settings: Kafka,
        keys: AccountKeys,
        encoding: Encoding = JSON,
        unsigned: UnsignedEvents | None = None,
    ) -> None:
        self._settings = settings
        self._account = account = keys.account
        self._keys = keys
        self._positions = PositionReader(settings, keys)
        self._unsigned = unsigned or UnsignedEvents(age=0.0)
        self._encoding = encoding
        self._exactly_once = settings.delivery is Delivery.EXACTLY_ONCE
        self._owner = secrets.token_hex(8)
        self._claim: StoredPosition | None = None
        """What the account's last record says, without the position in it; None before the first claim."""
        self._producer: Producer | None = None
        self._unfinished = False
        self._was_fenced = False
        self._patience = 1
        self._partitions: dict[str, int] = {}
        self._position_partition = 0
        self._limits: dict[str, int] = {}
        self._log = log.bind(account=account)
        self._published: dict[str, Any] = {}
        self.state: PublisherState = NOT_STARTED

    async def start(self) -> Position | None:
        """See `Publisher.start`."""
        backoff = Backoff()
        while True:
            try:
                return await self._take_over()
            except FAILURES as error:
                await self._failed(error)
            await asyncio.sleep(backoff.next_delay())

    async def publish(self, records: Sequence[Record], position: Position, revise: Revise = revise_nothing) -> None:
        """See `Publisher.publish`."""
        if self.state is FENCED:
            raise Fenced(f"account {self._account}: {FENCED.reason}")
        if self._claim is None:
            raise RuntimeError("publish() before start()")
        self._claim = msgspec.structs.replace(self._claim, turn=self._claim.turn + 1, revision=self._claim.revision + 1)
        stored = seal_position(position, self._keys, self._claim)
        attempt = PublishAttempt(
            self._account, records, stored, self._position_partition, self._encoding, revise=revise
        )
        backoff = Backoff()
        while True:
            try:
                if await self._is_done(attempt):
                    return
            except Fenced:
                await self._discard()
                raise
            except FAILURES as error:
                attempt.failed()
                await self._failed(error)
                await asyncio.sleep(backoff.next_delay())

    async def confirm(self) -> None:
        """See `Publisher.confirm`."""
        try:
            self._check_owner(await self._positions.read(self._position_partition, settled=False))
        except Fenced:
            await self._discard()
            raise
        except FAILURES as error:
            self._log.debug("claim-unreadable", reason=reason(error))

    async def stop(self) -> None:
        """See `Publisher.stop`."""
        await self._discard()
        if self.state is not FENCED:
            self._enter(STOPPED)

    async def _is_done(self, attempt: PublishAttempt) -> bool:
        """One attempt; False where records were refused, so that the next one brings fewer of them together."""
        if self._unfinished:
            await self._discard()
        if self._producer is None and await self._replace_producer(attempt):
            self._count(attempt)
            return True
        return await self._is_committed_now(attempt)

    async def _is_committed_now(self, attempt: PublishAttempt) -> bool:
        """One transaction; False where Kafka has refused some of the records.

        Raises:
            KafkaUnavailable: Kafka refuses the position or a dead letter.
        """
        try:
            await self._transaction(attempt)
        except BatchRefused as refused:
            attempt.refused(refused.reasons)
            self._learn_limits(refused.reasons)
            metrics.kafka_transactions.labels(self._account, "aborted").inc()
            return False
        self._count(attempt)
        return True

    async def _transaction(self, attempt: PublishAttempt) -> None:
        """Send everything and commit, all within one deadline."""
        producer = self._producer
        assert producer is not None
        self._unfinished = True
        async with asyncio.timeout(self._settings.request_timeout * self._patience):
            for topic in attempt.topics:
                self._partitions[topic] = await producer.partitions(topic_name(self._settings, topic))
            await producer.begin()
            sent = []
            for batch in attempt.batches(self._partitions, self._limits):
                sent += await self._send(producer, batch, attempt)
            if not self._exactly_once:
                await await_acknowledgements(sent)
            sent += await self._send(producer, attempt.position, attempt)
            await await_acknowledgements(sent)
            await producer.commit()
        self._unfinished = False
        self._patience = 1

    async def _send(
        self, producer: Producer, batch: Batch, attempt: PublishAttempt
    ) -> list[tuple[Batch, asyncio.Future[Any]]]:
        name = topic_name(self._settings, batch.topic)
        return [(batch, future) for future in await producer.send(name, batch, attempt.timestamp)]

    def _learn_limits(self, refused: Mapping[Batch, Refusal]) -> None:
        """A topic that refuses many records together as too large gets smaller batches from now on."""
        for batch, why in refused.items():
            size = min(MAX_BATCH, sum(size_of(record) for record in batch.records))
            if why == TOO_LARGE and max(size_of(record) for record in batch.records) <= size // 2:
                self._limits[batch.topic] = max(LEAST_BATCH, min(size // 2, self._limits.get(batch.topic, MAX_BATCH)))

    async def _take_over(self) -> Position | None:
        """Become the account's publisher: start, read, and put the claim beside what was read."""
        await self._discard()
        await self._keys.start()
        await self._start_producer()
        found = await self._positions.read(self._position_partition, settled=True)
        position = await self._position_in(found)
        stored = found.stored or StoredPosition(owner="", turn=0)
        before, until = await self._unsigned_before(stored)
        claim = StoredPosition(
            owner=self._owner,
            turn=0,
            revision=stored.revision + 1,
            unsigned_before=before,
            unsigned_until=until,
        )
        claimed = seal_position(position, self._keys, claim)
        # One record alone can't be refused in part: it is committed, or `KafkaUnavailable`.
        await self._is_committed_now(PublishAttempt(self._account, [], claimed, self._position_partition))
        self._claim = claim
        self._unsigned.end(before, until)
        self._was_fenced = False
        self._enter(CONNECTED)
        return None if position == EMPTY_POSITION else position

    async def _position_in(self, found: Found) -> Position:
        """Return where to go on. Where only records of foreign hands are left, a session may have been lost."""
        if found.stored is None:
            return EMPTY_POSITION if found.last < 0 else LOST
        try:
            return await open_position(found.stored, self._keys)
        except Unsealable as error:
            self._log.warning("position-unreadable", reason=str(error))
            return LOST

    async def _unsigned_before(self, stored: StoredPosition) -> tuple[dict[int, int], float]:
        """Tell where the ledger's events end that version 0.1.0 may have written, and until when they count.

        They end where the ledger ends at the first start after the update. After that the position keeps the place.
        """
        now = time.time()
        if stored.revision:
            return (stored.unsigned_before, stored.unsigned_until) if now < stored.unsigned_until else ({}, 0.0)
        if now - stored.last_reply_at > self._unsigned.age:  # it is no update, or one after a long time
            return {}, 0.0
        try:
            ends = await last_offsets(self._settings, [topic_name(self._settings, operation.TOPIC)])
        except DENIED:
            return {}, 0.0
        return {place.partition: end for place, end in ends.items()}, now + self._unsigned.age

    async def _replace_producer(self, attempt: PublishAttempt) -> bool:
        """Steps 2 to 4 of the module's text; True if the turn turns out to be committed.

        Raises:
            Fenced: another bridge has claimed the account.
        """
        if self._was_fenced:
            await self._await_claim()
        if await self._is_committed(attempt, settled=False):
            return True
        await self._start_producer()
        if await self._is_committed(attempt, settled=True):
            self._enter(CONNECTED)
            return True
        self._enter(CONNECTED)
        return False

    async def _await_claim(self) -> None:
        """Give a successor the time to commit its claim.

        The broker has fenced this publisher, so the claim counts even where this process can't verify it: the successor
        may have another password.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + CLAIM_WAIT
        while loop.time() < until:
            found = await self._positions.read(self._position_partition, settled=False)
            self._check_owner(found)
            if found.last_owner not in {None, "", self._owner}:
                self._leave()
            await asyncio.sleep(CLAIM_POLL)
        self._was_fenced = False

    async def _is_committed(self, attempt: PublishAttempt, *, settled: bool) -> bool:
        found = await self._positions.read(self._position_partition, settled=settled)
        self._check_owner(found)
        stored = found.stored
        return stored is not None and stored.owner == self._owner and stored.turn == attempt.number

    def _check_owner(self, found: Found) -> None:
        """Leave where a successor has claimed the account. Only a record with the account's signature is a claim."""
        stored = found.stored
        if self._claim is not None and stored is not None and stored.revision and stored.owner != self._owner:
            self._leave()

    def _leave(self) -> NoReturn:
        self._enter(FENCED)
        raise Fenced(f"account {self._account}: {FENCED.reason}")

    async def _start_producer(self) -> None:
        if self._settings.create_topics:
            await create_missing_topics(self._settings)
        transactional_id = transactional_id_of(self._settings, self._account) if self._exactly_once else None
        self._producer = Producer(self._settings, transactional_id)
        self._unfinished = True
        async with asyncio.timeout(self._settings.request_timeout):
            await self._producer.start()
            partitions = await self._producer.partitions(position_topic(self._settings))
        self._position_partition = partition_of(self._account.encode(), partitions)
        self._unfinished = False

    def _count(self, attempt: PublishAttempt) -> None:
        metrics.kafka_transactions.labels(self._account, "committed").inc()
        for topic, count in attempt.counts().items():
            counter = self._published.get(topic)
            if counter is None:
                name = topic_name(self._settings, topic)
                counter = self._published[topic] = metrics.events_published.labels(self._account, name)
            counter.inc(count)
        for why, count in attempt.dead_lettered.items():
            metrics.events_dead_lettered.labels(self._account, why).inc(count)
            self._log.warning("dead-lettered", reason=why, records=count)

    async def _failed(self, error: BaseException) -> None:
        """Note what went wrong, and throw the producer away."""
        if self._producer is not None and self._unfinished:
            result = "unknown" if self._producer.committing else "aborted"
            metrics.kafka_transactions.labels(self._account, result).inc()
            if isinstance(error, TimeoutError):
                self._patience = min(2 * self._patience, MOST_PATIENCE)
        self._was_fenced = self._was_fenced or fenced(error)
        self._enter(PublisherState(connected=False, reason=reason(error)))
        await self._discard()

    async def _discard(self) -> None:
        producer, self._producer, self._unfinished = self._producer, None, False
        self._partitions.clear()
        if producer is not None:
            await producer.discard()

    def _enter(self, state: PublisherState) -> None:
        """Change the state; one line in the log for each change."""
        if state == self.state:
            return
        self.state = state
        if state.connected:
            self._log.info("kafka-connected")
        elif state.reason is not None and state is not STOPPED:
            self._log.warning("kafka-disconnected", reason=state.reason)
