"""Finds what the bridge last wrote to a partition of the position topic, among what others may have written there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
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
    from collections.abc import Iterable

    from aiokafka import AIOKafkaConsumer

    from bridge.delivery.position.keys import AccountKeys
    from bridge.delivery.position.owner import Owner
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

TAIL: Final = 512
"""Offsets that the first look takes in; each further one twice as many. A turn leaves two (record, marker)."""
FETCH_WAIT_MS: Final = 50


@dataclass(slots=True)
class Found:
    """What a search has found of one account."""

    stored: StoredPosition | None = None
    """The genuine record with the highest revision; None where there is no genuine record."""
    last: int = -1
    """The offset of the account's last record, genuine or not; -1 where there is no record of the account at all."""
    last_owner: str | None = None
    """The owner that the last record names; None where it names none."""
    foreign: StoredPosition | None = None
    """The same as `stored`, of the records of another owner than the reader's."""
    last_foreign: int = -1
    """The offset of the last genuine record of another owner than the reader's, as far as the search went."""


@dataclass(slots=True)
class Reading:
    """What a search has found of several accounts."""

    end: int = 0
    """The offset where the search began, which goes backwards from there."""
    hidden: bool = False
    """Whether an open transaction may hide records from the search; told only of a `settled` reading."""
    accounts: dict[str, Found] = field(default_factory=dict)
    last_collision: int = -1
    """The offset of the last record that another bridge wrote with the reader's pair of transactional ids, as far as
    the search went; -1 where there is none. The record may belong to any account, and nobody has verified it."""


class PositionReader:
    """Reads one partition, which is one slot. `owner` is how the slot's bridge signs its own records."""

    def __init__(self, settings: Kafka, partition: int, owner: Owner) -> None:
        self._settings = settings
        self._topic = position_topic(settings)
        self._place = TopicPartition(self._topic, partition)
        self.owner = owner
        self._told: dict[str, int] = {}
        """By account: the offset of the last record that was counted as passed over."""
        self._telling: set[str] = set()

    async def read(
        self,
        keys: Iterable[AccountKeys],
        *,
        settled: bool,
        wait: bool = True,
        foreign: bool = False,
        since: int | None = None,
    ) -> Reading:
        """Search the partition from its end backwards, until a genuine record of every account was found.

        A genuine record is one that a bridge with the account's password has signed. All others are passed over. Of the
        stretch in which an account's first genuine record was found, the one with the highest revision counts.
        With `foreign` the search goes on until a genuine record of another owner was found, too.
        With `since` the search goes back to that offset at least.

        An open transaction hides what was committed after it. So for an answer that counts (`settled`, when the slot's
        own transactions are over) it waits until nothing is hidden: until the other producer commits, is fenced, or
        its transaction times out. Without `wait` it says in `hidden` that something may be.
        Without `settled` it answers with what can be seen now.

        Raises:
            KafkaUnavailable: another producer's transaction stays open.
            aiokafka.errors.KafkaError, OSError, TimeoutError: the topic can't be read now. The deadline is for each
                fetch: a long topic takes its time.
        """
        reading = Reading(accounts={one.account: Found() for one in keys})
        wanted = {one.account.encode(): one for one in keys}
        async with (
            asyncio.timeout(self._settings.request_timeout) as deadline,
            consumer(self._settings, (), "read_committed", wait_ms=FETCH_WAIT_MS) as client,
        ):
            client.assign([self._place])
            if settled:
                end = (await last_offsets(self._settings, [self._topic]))[self._place]
                if wait:
                    await self._until_visible(client, end)
                else:
                    reading.hidden = (await client.end_offsets([self._place]))[self._place] < end
            self._telling.clear()
            await self._search(client, wanted, reading, deadline, foreign=foreign, since=since)
        return reading

    async def _until_visible(self, client: AIOKafkaConsumer, end: int) -> None:
        """Wait, for half of the deadline, until the last stable offset has come to `end`."""
        patience = asyncio.timeout(self._settings.request_timeout / 2)
        try:
            async with patience:
                while (await client.end_offsets([self._place]))[self._place] < end:  # noqa: ASYNC110 -- Kafka tells nobody
                    await asyncio.sleep(FETCH_WAIT_MS / 1000)
        except TimeoutError:
            if not patience.expired():  # a broker that does not answer in time hides nothing
                raise
            raise KafkaUnavailable(
                f"an open transaction of another producer hides the position on {self._topic}"
            ) from None

    async def _search(
        self,
        client: AIOKafkaConsumer,
        wanted: dict[bytes, AccountKeys],
        reading: Reading,
        deadline: asyncio.Timeout,
        *,
        foreign: bool,
        since: int | None,
    ) -> None:
        place = self._place
        start = (await client.beginning_offsets([place]))[place]
        reading.end = end = upper = (await client.end_offsets([place]))[place]
        window = TAIL
        while upper > start:
            searched = {
                name for name, found in reading.accounts.items() if (found.foreign if foreign else found.stored) is None
            }
            if not searched and (since is None or upper <= since):
                break
            lower = max(start, end - window)
            client.seek(place, lower)
            # The position passes over transaction markers and aborted records too, so it reaches `upper` or passes it.
            while await client.position(place) < upper:
                fetched = (await client.getmany(place, timeout_ms=FETCH_WAIT_MS)).get(place, ())
                if fetched:
                    deadline.reschedule(asyncio.get_running_loop().time() + self._settings.request_timeout)
                for record in fetched:
                    if record.offset >= upper:
                        continue
                    self._look_for_collision(record.value, record.offset, reading)
                    keys = wanted.get(record.key)
                    if keys is None:
                        continue
                    found = reading.accounts[keys.account]
                    if keys.account in searched:
                        await self._look(record.value, record.offset, keys, found)
                    elif since is not None:
                        await self._look_for_foreign(record.value, record.offset, keys, found)
            upper, window = lower, window * 2

    async def _look(self, value: bytes | None, offset: int, keys: AccountKeys, found: Found) -> None:
        owner = None
        try:
            stored = decode(value)
            owner = stored.owner
            await verify(stored, keys)
        except (Unreadable, Unsealable) as error:
            self._passed_over(offset, keys.account, error)
        else:
            if not self.owner.wrote(stored.owner):
                found.last_foreign = max(found.last_foreign, offset)
                if found.foreign is None or stored.revision >= found.foreign.revision:
                    found.foreign = stored
            if found.stored is None or stored.revision >= found.stored.revision:
                found.stored = stored
        if offset > found.last:
            found.last, found.last_owner = offset, owner

    def _look_for_collision(self, value: bytes | None, offset: int, reading: Reading) -> None:
        with suppress(Unreadable):
            if offset > reading.last_collision and self.owner.collides(decode(value).owner):
                reading.last_collision = offset

    async def _look_for_foreign(self, value: bytes | None, offset: int, keys: AccountKeys, found: Found) -> None:
        """Look at a record that can't count any more: it lies before the stretch with the genuine record."""
        with suppress(Unreadable, Unsealable):
            stored = decode(value)
            await verify(stored, keys)
            if not self.owner.wrote(stored.owner):
                found.last_foreign = max(found.last_foreign, offset)

    def _passed_over(self, offset: int, account: str, error: Exception) -> None:
        """Count the record, where an earlier search has not; one line in the log for each search."""
        if offset <= self._told.get(account, -1):
            return
        self._told[account] = offset
        counter = metrics.records_unreadable if isinstance(error, Unreadable) else metrics.records_untrusted
        counter.labels(self._topic).inc()
        if account not in self._telling:
            self._telling.add(account)
            log.warning("position-passed-over", account=account, reason=str(error))
