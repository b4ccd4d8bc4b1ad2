"""Finds the last records that bridges have written for the accounts of one slot to the position topic.

Other programs may have written to the topic too. A record is genuine if it is signed with the account's password.
"""

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
"""Offsets in the first window of a search. Each further window is twice as large. A transaction takes two offsets."""
FETCH_WAIT_MS: Final = 50


@dataclass(slots=True)
class Found:
    """The result of a search for one account."""

    stored: StoredPosition | None = None
    """The genuine record with the highest revision, or None if no record is genuine."""
    last: int = -1
    """The offset of the account's last record, genuine or not, or -1 if the account has no record."""
    last_owner: str | None = None
    """The owner in the account's last record, or None if that record has no owner."""
    foreign: StoredPosition | None = None
    """The genuine record with the highest revision among the records of other owners than the reader's."""
    last_foreign: int = -1
    """The offset of the last genuine record of another owner that the search has seen, or -1."""


@dataclass(slots=True)
class Reading:
    """The result of a search for several accounts."""

    end: int = 0
    """The end offset of the partition when the search began. The search goes backwards from there."""
    hidden: bool = False
    """Whether an open transaction may hide records from the search. Always False if the search was not `settled`."""
    accounts: dict[str, Found] = field(default_factory=dict)
    last_collision: int = -1
    """The offset of the last record that another bridge wrote with the reader's pair of transactional ids, or -1.

    The record may belong to any account of the slot, and its signature was not verified."""


class PositionReader:
    """Reads a slot, which is a partition of the position topic. `owner` is the owner in the bridge's own records."""

    def __init__(self, settings: Kafka, partition: int, owner: Owner) -> None:
        self._settings = settings
        self._topic = position_topic(settings)
        self._place = TopicPartition(self._topic, partition)
        self.owner = owner
        self._counted: dict[str, int] = {}
        """For each account, the offset of the last record that was counted as skipped."""
        self._logged: set[str] = set()

    async def read(
        self,
        keys: Iterable[AccountKeys],
        *,
        settled: bool,
        wait: bool = True,
        foreign: bool = False,
        since: int | None = None,
    ) -> Reading:
        """Search the partition backwards in windows of growing size, until each account has a genuine record.

        Records that are not genuine are skipped. If a window has several genuine records of an account, the record with
        the highest revision is returned. With `foreign` the search continues until each account has a genuine record of
        another owner. With `since` the search goes back at least to that offset.

        An open transaction hides all later records of the partition. With `settled`, the method first waits until no
        record is hidden: until the other producer commits, is fenced, or reaches its transaction time-out. A caller may
        use `settled` only after the slot's own transactions have ended. With `settled` and `wait=False` the method does
        not wait: `hidden` in the result says whether records may be hidden. Without `settled`, the method ignores
        hidden records.

        Raises:
            KafkaUnavailable: the transaction of another producer stays open.
            aiokafka.errors.KafkaError, OSError, TimeoutError: the topic can't be read. Each fetch has its own deadline,
                so a search in a long topic may take longer.
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
            self._logged.clear()
            await self._search(client, wanted, reading, deadline, foreign=foreign, since=since)
        return reading

    async def _until_visible(self, client: AIOKafkaConsumer, end: int) -> None:
        """Wait until the last stable offset has reached `end`, but at most for half of the deadline."""
        patience = asyncio.timeout(self._settings.request_timeout / 2)
        try:
            async with patience:
                while (await client.end_offsets([self._place]))[self._place] < end:  # noqa: ASYNC110 -- Kafka sends no event
                    await asyncio.sleep(FETCH_WAIT_MS / 1000)
        except TimeoutError:
            if not patience.expired():  # the broker did not answer, so nothing is known about transactions
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
            # The consumer's position also advances over transaction markers and aborted records, so it reaches `upper`.
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
        """Store the offset of a genuine record if another owner has written it.

        The record lies before the window with the genuine record that counts. So the search does not use it otherwise.
        """
        with suppress(Unreadable, Unsealable):
            stored = decode(value)
            await verify(stored, keys)
            if not self.owner.wrote(stored.owner):
                found.last_foreign = max(found.last_foreign, offset)

    def _passed_over(self, offset: int, account: str, error: Exception) -> None:
        """Count the record, unless an earlier search has counted it. A search logs at most one line for an account."""
        if offset <= self._counted.get(account, -1):
            return
        self._counted[account] = offset
        counter = metrics.records_unreadable if isinstance(error, Unreadable) else metrics.records_untrusted
        counter.labels(self._topic).inc()
        if account not in self._logged:
            self._logged.add(account)
            log.warning("position-passed-over", account=account, reason=str(error))
