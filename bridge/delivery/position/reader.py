"""Finds what an account's bridge last wrote to the position topic, among what others may have written there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka import TopicPartition

from bridge.delivery.client.consumer import consumer, last_offsets
from bridge.delivery.client.topics import position_topic
from bridge.delivery.position.earlier_seal import Unsealable
from bridge.delivery.position.stored import StoredPosition, Unreadable, decode, verify
from bridge.errors import KafkaUnavailable
from bridge.observability import metrics

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from bridge.delivery.position.keys import AccountKeys
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

TAIL: Final = 512
"""Offsets that the first look takes in; each further one twice as many. A turn leaves two (record, marker)."""
FETCH_WAIT_MS: Final = 50


@dataclass(slots=True)
class Found:
    """What the search has come upon."""

    stored: StoredPosition | None = None
    """The genuine record with the highest revision; None where there is no genuine record."""
    last: int = -1
    """The offset of the account's last record, genuine or not; -1 where there is no record of the account at all."""
    last_owner: str | None = None
    """The owner that the last record names; None where it names none."""


class PositionReader:
    """Of one account."""

    def __init__(self, settings: Kafka, keys: AccountKeys) -> None:
        self._settings = settings
        self._topic = position_topic(settings)
        self._keys = keys
        self._key = keys.account.encode()
        self._told = -1
        """The offset of the last record that was counted as passed over."""
        self._telling = False

    async def read(self, partition: int, *, settled: bool) -> Found:
        """Search the account's partition from its end backwards, until a genuine record was found.

        A genuine record is one that a bridge with the account's password has signed. All others are passed over. Of the
        stretch in which the first genuine record was found, the one with the highest revision counts.

        Accounts may share a partition, and any open transaction hides what was committed after it. So for an answer
        that counts (`settled`, when the account's own transactions are over) it waits until nothing is hidden: until
        the other account's bridge commits, is started again, or its transaction times out. Without `settled` it answers
        with what can be seen now.

        Raises:
            KafkaUnavailable: another account's transaction stays open.
            aiokafka.errors.KafkaError, OSError, TimeoutError: the topic can't be read now. The deadline is for each
                fetch: a long topic takes its time.
        """
        place = TopicPartition(self._topic, partition)
        async with (
            asyncio.timeout(self._settings.request_timeout) as deadline,
            consumer(self._settings, (), "read_committed", wait_ms=FETCH_WAIT_MS) as client,
        ):
            client.assign([place])
            if settled:
                end = (await last_offsets(self._settings, [self._topic]))[place]
                await self._until_visible(client, place, end)
            self._telling = False
            return await self._search(client, place, deadline)

    async def _until_visible(self, client: AIOKafkaConsumer, place: TopicPartition, end: int) -> None:
        """Wait, for half of the deadline, until the last stable offset has come to `end`."""
        patience = asyncio.timeout(self._settings.request_timeout / 2)
        try:
            async with patience:
                while (await client.end_offsets([place]))[place] < end:  # noqa: ASYNC110 -- Kafka tells nobody
                    await asyncio.sleep(FETCH_WAIT_MS / 1000)
        except TimeoutError:
            if not patience.expired():  # a broker that does not answer in time hides nothing
                raise
            raise KafkaUnavailable(
                f"an open transaction of another account hides the position on {place.topic}"
            ) from None

    async def _search(self, client: AIOKafkaConsumer, place: TopicPartition, deadline: asyncio.Timeout) -> Found:
        start = (await client.beginning_offsets([place]))[place]
        end = upper = (await client.end_offsets([place]))[place]
        window, found = TAIL, Found()
        while upper > start and found.stored is None:
            lower = max(start, end - window)
            client.seek(place, lower)
            # The position passes over transaction markers and aborted records too, so it reaches `upper` or passes it.
            while await client.position(place) < upper:
                fetched = (await client.getmany(place, timeout_ms=FETCH_WAIT_MS)).get(place, ())
                if fetched:
                    deadline.reschedule(asyncio.get_running_loop().time() + self._settings.request_timeout)
                for record in fetched:
                    if record.key == self._key and record.offset < upper:
                        await self._look(record.value, record.offset, found)
            upper, window = lower, window * 2
        return found

    async def _look(self, value: bytes | None, offset: int, found: Found) -> None:
        owner = None
        try:
            stored = decode(value)
            owner = stored.owner
            await verify(stored, self._keys)
        except (Unreadable, Unsealable) as error:
            self._passed_over(offset, error)
        else:
            if found.stored is None or stored.revision >= found.stored.revision:
                found.stored = stored
        if offset > found.last:
            found.last, found.last_owner = offset, owner

    def _passed_over(self, offset: int, error: Exception) -> None:
        """Count the record, where an earlier search has not; one line in the log for each search."""
        if offset <= self._told:
            return
        self._told = offset
        counter = metrics.records_unreadable if isinstance(error, Unreadable) else metrics.records_untrusted
        counter.labels(self._topic).inc()
        if not self._telling:
            self._telling = True
            log.warning("position-passed-over", account=self._keys.account, reason=str(error))
