"""Publishes one account's records to Kafka, exactly once, with the position in the same transaction.

After a failure, or a commit whose outcome is unknown, the way back is always the same:

1. Throw the producer away (`bridge.delivery.producer` says why).
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
claim is committed last has the account, the other one sees it at its next turn.

Without transactions (`at-least-once`) records are published before the position, so a failure may repeat them but
never lose them. There the broker fences nobody: a successor's claim is noticed only by `confirm`, or after a failure.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from bridge.delivery.backoff import Backoff
from bridge.delivery.batches import size_of
from bridge.delivery.failures import FAILURES, TOO_LARGE, fenced, reason
from bridge.delivery.partition import partition_of
from bridge.delivery.position_reader import newest_value
from bridge.delivery.producer import MAX_BATCH, BatchRefused, Producer, answered
from bridge.delivery.publisher import revise_nothing
from bridge.delivery.seal import Seal, Unsealable, derive
from bridge.delivery.state import CONNECTED, FENCED, NOT_STARTED, STOPPED, PublisherState
from bridge.delivery.stored_position import (
    StoredPosition,
    Unreadable,
    decode,
    open_position,
    seal_position,
    without_secret,
)
from bridge.delivery.topics import create_missing_topics, position_topic, topic_name, transactional_id_of
from bridge.delivery.turn import Turn
from bridge.errors import Fenced
from bridge.events import JSON
from bridge.observability import metrics
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import SecretStr

    from bridge.delivery.batches import Batch
    from bridge.delivery.failures import Refusal
    from bridge.delivery.position import Position
    from bridge.delivery.publisher import Revise
    from bridge.events import Encoding, Record
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

CLAIM_WAIT: Final = 2.0
"""Seconds that a fenced publisher waits for a successor's claim before it takes the account back."""
CLAIM_POLL: Final = 0.2
LEAST_BATCH: Final = 16 << 10
"""Bytes of a batch under which a topic's refusals teach nothing more."""
NOBODY: Final = ""
"""The owner of a position that nobody has claimed."""
MOST_PATIENCE: Final = 2
"""How many times `request_timeout` an attempt may take at the most, after earlier ones have passed theirs: a broker
that is slow, but works, must be able to finish a transaction."""


class KafkaPublisher:
    """The `Publisher` of the real thing. One account, used by one task at a time."""

    def __init__(self, settings: Kafka, account: str, password: SecretStr, encoding: Encoding = JSON) -> None:
        self._settings = settings
        self._account = account
        self._password = password
        self._encoding = encoding
        self._exactly_once = settings.delivery is Delivery.EXACTLY_ONCE
        self._owner = secrets.token_hex(8)
        self._turns = 0
        self._claimed = False
        self._seal: Seal | None = None
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
        if self._seal is None:
            raise RuntimeError("publish() before start()")
        self._turns += 1
        stored = seal_position(position, self._seal, owner=self._owner, turn=self._turns)
        turn = Turn(self._account, records, stored, self._position_partition, self._encoding, revise=revise)
        backoff = Backoff()
        while True:
            try:
                if await self._is_done(turn):
                    return
            except Fenced:
                await self._discard()
                raise
            except FAILURES as error:
                turn.failed()
                await self._failed(error)
                await asyncio.sleep(backoff.next_delay())

    async def confirm(self) -> None:
        """See `Publisher.confirm`."""
        try:
            self._check_owner(await self._read(settled=False))
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

    async def _is_done(self, turn: Turn) -> bool:
        """One attempt; False where records were refused, so that the next one brings fewer of them together."""
        if self._unfinished:
            await self._discard()
        if self._producer is None and await self._replace_producer(turn):
            self._count(turn)
            return True
        try:
            await self._transaction(turn)
        except BatchRefused as refused:
            turn.refused(refused.reasons)
            self._learn_limits(refused.reasons)
            metrics.kafka_transactions.labels(self._account, "aborted").inc()
            return False
        self._count(turn)
        return True

    async def _transaction(self, turn: Turn) -> None:
        """Send everything and commit, all within one deadline."""
        producer = self._producer
        assert producer is not None
        self._unfinished = True
        async with asyncio.timeout(self._settings.request_timeout * self._patience):
            for topic in turn.topics:
                self._partitions[topic] = await producer.partitions(topic_name(self._settings, topic))
            await producer.begin()
            sent = []
            for batch in turn.batches(self._partitions, self._limits):
                sent += await self._send(producer, batch, turn)
            if not self._exactly_once:
                await answered(sent)
            sent += await self._send(producer, turn.position, turn)
            await answered(sent)
            await producer.commit()
        self._unfinished = False
        self._patience = 1

    async def _send(self, producer: Producer, batch: Batch, turn: Turn) -> list[tuple[Batch, asyncio.Future[Any]]]:
        name = topic_name(self._settings, batch.topic)
        return [(batch, future) for future in await producer.send(name, batch, turn.timestamp)]

    def _learn_limits(self, refused: Mapping[Batch, Refusal]) -> None:
        """A topic that refuses many records together as too large gets smaller batches from now on."""
        for batch, why in refused.items():
            size = min(MAX_BATCH, sum(size_of(record) for record in batch.records))
            if why == TOO_LARGE and max(size_of(record) for record in batch.records) <= size // 2:
                self._limits[batch.topic] = max(LEAST_BATCH, min(size // 2, self._limits.get(batch.topic, MAX_BATCH)))

    async def _take_over(self) -> Position | None:
        """Become the account's publisher: start, read, and put the claim beside what was read."""
        await self._discard()
        await self._start_producer()
        stored = await self._read(settled=True)
        if self._seal is None or (stored is not None and stored.salt not in {b"", self._seal.salt}):
            self._seal = await derive(self._password, self._account, stored.salt if stored else None)
        position = self._open(stored)
        claim = msgspec.structs.replace(
            stored or StoredPosition(owner=NOBODY, turn=0, salt=self._seal.salt), owner=self._owner, turn=0
        )
        await self._transaction(Turn(self._account, [], claim, self._position_partition))
        self._claimed = True
        self._was_fenced = False
        metrics.kafka_transactions.labels(self._account, "committed").inc()
        self._enter(CONNECTED)
        return position

    async def _replace_producer(self, turn: Turn) -> bool:
        """Steps 2 to 4 of the module's text; True if the turn turns out to be committed.

        Raises:
            Fenced: another bridge has claimed the account.
        """
        if self._was_fenced:
            await self._await_claim()
        if await self._is_committed(turn, settled=False):
            return True
        await self._start_producer()
        if await self._is_committed(turn, settled=True):
            self._enter(CONNECTED)
            return True
        self._enter(CONNECTED)
        return False

    async def _await_claim(self) -> None:
        """Give a successor the time to commit its claim."""
        loop = asyncio.get_running_loop()
        until = loop.time() + CLAIM_WAIT
        while loop.time() < until:
            self._check_owner(await self._read(settled=False))
            await asyncio.sleep(CLAIM_POLL)
        self._was_fenced = False

    async def _is_committed(self, turn: Turn, *, settled: bool) -> bool:
        stored = await self._read(settled=settled)
        self._check_owner(stored)
        return stored is not None and stored.owner == self._owner and stored.turn == turn.number

    def _check_owner(self, stored: StoredPosition | None) -> None:
        """No position at all (its topic was deleted), or one that can't be read, is nobody's claim."""
        if self._claimed and stored is not None and stored.owner not in {self._owner, NOBODY}:
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

    async def _read(self, *, settled: bool) -> StoredPosition | None:
        newest = await newest_value(self._settings, self._account, self._position_partition, settled=settled)
        if newest is None:
            return None
        try:
            return decode(newest.value)
        except Unreadable as error:  # then all it tells is when it was written: until then there was no gap
            self._log.warning("position-unreadable", reason=str(error))
            return StoredPosition(owner=NOBODY, turn=0, last_reply_at=newest.at)

    def _open(self, stored: StoredPosition | None) -> Position | None:
        if stored is None or self._seal is None:
            return None
        if not stored.secret:
            return without_secret(stored) if stored.last_reply_at else None
        try:
            return open_position(stored, self._seal)
        except Unsealable as error:
            self._log.warning("position-unreadable", reason=str(error))
            return without_secret(stored)

    def _count(self, turn: Turn) -> None:
        metrics.kafka_transactions.labels(self._account, "committed").inc()
        for topic, count in turn.counts().items():
            counter = self._published.get(topic)
            if counter is None:
                name = topic_name(self._settings, topic)
                counter = self._published[topic] = metrics.events_published.labels(self._account, name)
            counter.inc(count)
        for why, count in turn.buried.items():
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
