"""Commits the transactions of a slot: the records and the positions (`bridge.delivery.slots.transaction`) together.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it. It has two producers,
each with its own transactional id, and uses them alternately. So the next transaction can begin as soon as Kafka has
answered a commit, while Kafka still writes the markers of that commit.

After any failure the slot discards both producers (see `bridge.delivery.client.producer`). Then the old producers can
commit nothing more, and the slot can trust the positions that it reads from Kafka.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from bridge.delivery.client.batches import size_of
from bridge.delivery.client.failures import TOO_LARGE
from bridge.delivery.client.producer import MAX_BATCH, Producer, await_acknowledgements
from bridge.delivery.client.topics import position_topic, topic_name, transactional_ids_of
from bridge.errors import KafkaUnavailable
from bridge.settings import Delivery

if TYPE_CHECKING:
    from bridge.delivery.client.batches import Batch
    from bridge.delivery.client.failures import Refusal
    from bridge.delivery.slots.transaction import Transaction
    from bridge.settings import Kafka

LEAST_BATCH: Final = 16 << 10
"""Smallest limit in bytes that `learn_limit` sets for the batches of a topic."""
MOST_PATIENCE: Final = 2
"""Maximum deadline of a transaction, as a multiple of `request_timeout`. The deadline grows after a transaction has
exceeded it, because a slow broker must be able to finish a transaction."""


class SlotProducers:
    """Commits one transaction at a time. With `at-least-once` there are no transactions and only one producer."""

    def __init__(self, settings: Kafka, slot: int) -> None:
        self._settings = settings
        self._slot = slot
        self._exactly_once = settings.delivery is Delivery.EXACTLY_ONCE
        self._producers: list[Producer] = []
        self._sending: Producer | None = None
        """The producer of the unfinished transaction, if there is one."""
        self._patience = 1
        self._partitions: dict[str, int] = {}
        self._limits: dict[str, int] = {}

    @property
    def started(self) -> bool:
        """Whether the producers have been made, so that a transaction can begin."""
        return bool(self._producers)

    @property
    def outcome(self) -> str | None:
        """The outcome of the unfinished transaction: "unknown" or "aborted". None if every transaction is finished."""
        if self._sending is None:
            return None
        return "unknown" if self._sending.committing else "aborted"

    async def start(self, pair: int) -> None:
        """Make new producers with this pair of transactional ids.

        Kafka then fences all earlier producers with these ids, and commits or aborts their open transactions.

        Raises:
            KafkaUnavailable: the slot's partition does not exist any more.
        """
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
        """Send all records and positions, and commit. Return the offset of the first position.

        One deadline applies to the whole transaction: `request_timeout`, or a multiple of it after `be_patient`.

        Raises:
            BatchRefused: Kafka has refused some batches because of their content or size.
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
        """Lower the topic's limit for batches, if Kafka has refused a batch of many small records as too large.

        Returns whether the limit is lower now. If not, single records are too large, or have invalid content.
        """
        sizes = [size_of(record) for record in refused.records]
        size = min(MAX_BATCH, sum(sizes))
        if why != TOO_LARGE or max(sizes) > size // 2:
            return False
        before = self._limits.get(refused.topic, MAX_BATCH)
        self._limits[refused.topic] = max(LEAST_BATCH, min(size // 2, before))
        return self._limits[refused.topic] < before

    def be_patient(self) -> None:
        """Double the deadline until the next commit, because a transaction has exceeded its deadline."""
        self._patience = min(2 * self._patience, MOST_PATIENCE)

    async def discard(self) -> None:
        """Discard the producers. The caller must read from Kafka whether an unfinished transaction was committed."""
        producers, self._producers, self._sending = self._producers, [], None
        self._partitions.clear()
        await asyncio.gather(*(one.discard() for one in producers))
