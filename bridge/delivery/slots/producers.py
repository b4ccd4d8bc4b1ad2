"""The two producers of a slot. They have a transactional id each, and take turns.

The next transaction begins as soon as the commit before is answered, while Kafka still writes the markers of that
commit. Whatever fails, both producers are thrown away together (`bridge.delivery.client.producer` says why): nothing
can be committed under either id after the positions are read again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from bridge.delivery.client.batches import size_of
from bridge.delivery.client.failures import TOO_LARGE
from bridge.delivery.client.producer import MAX_BATCH, Producer, await_acknowledgements
from bridge.delivery.client.topics import create_missing_topics, position_topic, topic_name, transactional_ids_of
from bridge.errors import KafkaUnavailable
from bridge.settings import Delivery

if TYPE_CHECKING:
    from bridge.delivery.client.batches import Batch
    from bridge.delivery.client.failures import Refusal
    from bridge.delivery.slots.transaction import Transaction
    from bridge.settings import Kafka

LEAST_BATCH: Final = 16 << 10
"""Bytes of a batch under which a topic's refusals teach nothing more."""
MOST_PATIENCE: Final = 2
"""How many times `request_timeout` an attempt may take at the most, after earlier ones have passed theirs: a broker
that is slow, but works, must be able to finish a transaction."""


class SlotProducers:
    """Commits one transaction at a time. Without transactions (`at-least-once`) there is only one producer."""

    def __init__(self, settings: Kafka, slot: int) -> None:
        self._settings = settings
        self._slot = slot
        self._exactly_once = settings.delivery is Delivery.EXACTLY_ONCE
        self._producers: list[Producer] = []
        self._sending: Producer | None = None
        """The producer whose transaction is not finished."""
        self._patience = 1
        self._partitions: dict[str, int] = {}
        self._limits: dict[str, int] = {}

    @property
    def started(self) -> bool:
        """Whether a transaction can begin."""
        return bool(self._producers)

    @property
    def outcome(self) -> str | None:
        """What is known of the transaction that is not finished: "unknown" or "aborted"; None where there is none."""
        if self._sending is None:
            return None
        return "unknown" if self._sending.committing else "aborted"

    async def start(self, pair: int) -> None:
        """Make new producers with this pair of ids; this fences all earlier ones and settles their transactions.

        Raises:
            KafkaUnavailable: the slot's partition does not exist any more.
        """
        if self._settings.create_topics:
            await create_missing_topics(self._settings)
        ids = transactional_ids_of(self._settings, self._slot, pair) if self._exactly_once else (None,)
        self._producers = [Producer(self._settings, one) for one in ids]
        async with asyncio.timeout(self._settings.request_timeout):
            started = await asyncio.gather(*(one.start() for one in self._producers), return_exceptions=True)
            for outcome in started:
                if isinstance(outcome, BaseException):
                    raise outcome
            partitions = await self._producers[0].partitions(position_topic(self._settings))
        if self._slot >= partitions:
            raise KafkaUnavailable(f"{position_topic(self._settings)} has fewer partitions than before; start again")

    async def commit(self, transaction: Transaction) -> int:
        """Send everything and commit, all within one deadline; return the offset of the first position.

        Raises:
            BatchRefused: Kafka refuses some batches for themselves.
        """
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
            positions = []
            for batch in transaction.positions():
                positions += await self._send(producer, batch, transaction)
            await await_acknowledgements(sent + positions)
            await producer.commit()
        self._sending = None
        self._patience = 1
        self._producers.append(self._producers.pop(0))
        first: int = min(future.result().offset for _, future in positions)
        return first

    async def _send(
        self, producer: Producer, batch: Batch, transaction: Transaction
    ) -> list[tuple[Batch, asyncio.Future[Any]]]:
        name = topic_name(self._settings, batch.topic)
        return [(batch, future) for future in await producer.send(name, batch, transaction.timestamp)]

    def learn_limit(self, refused: Batch, why: Refusal) -> bool:
        """Give a topic that refuses many records together as too large smaller batches from now on; False if not so."""
        sizes = [size_of(record) for record in refused.records]
        size = min(MAX_BATCH, sum(sizes))
        if why != TOO_LARGE or max(sizes) > size // 2:
            return False
        before = self._limits.get(refused.topic, MAX_BATCH)
        self._limits[refused.topic] = max(LEAST_BATCH, min(size // 2, before))
        return self._limits[refused.topic] < before

    def be_patient(self) -> None:
        """Give the next transactions more time, until one is committed: this one has passed its deadline."""
        self._patience = min(2 * self._patience, MOST_PATIENCE)

    async def discard(self) -> None:
        """Throw the producers away. What became of a transaction that was not finished must be read."""
        producers, self._producers, self._sending = self._producers, [], None
        self._partitions.clear()
        await asyncio.gather(*(one.discard() for one in producers))
