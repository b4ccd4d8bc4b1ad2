"""Finds the last record that a bridge has written for an account to the position topic.

Other programs may have written to the topic too. A record is genuine if it is signed with the account's password.
"""

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
"""Offsets in the first window of a search. Each further window is twice as large. A transaction takes two offsets."""
FETCH_WAIT_MS: Final = 50


@dataclass(slots=True)
class Found:
    """The result of a search in the position topic."""

    stored: StoredPosition | None = None
    """The genuine record with the highest revision, or None if no record is genuine."""
    last: int = -1
    """The offset of the account's last record, genuine or not, or -1 if the account has no record."""
    last_owner: str | None = None
    """The owner in the account's last record, or None if that record has no owner."""


class PositionReader:
    """Reads the position of an account."""

    def __init__(self, settings: Kafka, keys: AccountKeys) -> None:
        self._settings = settings
        self._topic = position_topic(settings)
        self._keys = keys
        self._key = keys.account.encode()
        self._told = -1
        """The offset of the last record that was counted as skipped."""
        self._telling = False

    async def read(self, partition: int, *, settled: bool) -> Found:
        """Search the account's partition backwards in windows of growing size, until a window has a genuine record.

        Records that are not genuine are skipped. If a window has several genuine records, the record with the highest
        revision is returned.

        Accounts may share a partition, and an open transaction hides all later records of the partition.
        With `settled`, the method first waits until no record is hidden. A caller may use `settled` only after the
        account's own transactions have ended. Without `settled`, the method ignores hidden records.

        Raises:
            KafkaUnavailable: the transaction of another account stays open.
            aiokafka.errors.KafkaError, OSError, TimeoutError: the topic can't be read. Each fetch has its own deadline,
                so a search in a long topic may take longer.
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
        """Wait until the last stable offset has reached `end`, but at most for half of the deadline."""
        patience = asyncio.timeout(self._settings.request_timeout / 2)
        try:
            async with patience:
                while (await client.end_offsets([place]))[place] < end:  # noqa: ASYNC110 -- Kafka sends no event
                    await asyncio.sleep(FETCH_WAIT_MS / 1000)
        except TimeoutError:
            if not patience.expired():  # the broker did not answer, so nothing is known about transactions
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
            # The consumer's position also advances over transaction markers and aborted records, so it reaches `upper`.
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
        """Count the record, unless an earlier search has counted it. Each search logs at most one line."""
        if offset <= self._told:
            return
        self._told = offset
        counter = metrics.records_unreadable if isinstance(error, Unreadable) else metrics.records_untrusted
        counter.labels(self._topic).inc()
        if not self._telling:
            self._telling = True
            log.warning("position-passed-over", account=self._keys.account, reason=str(error))
