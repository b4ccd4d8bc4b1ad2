"""Taking accounts over: what a slot reads before it claims its accounts, and what the claims say.

The start of a slot's producers fences the process that used the same transactional ids before. An account may have been
published with other ids: an earlier version had one id for each account, and a bridge with other accounts of the slot
has another pair. The account's last record tells which ids. The takeover fences them twice. The first time is before
the position is read, because that settles the open transaction of the other process. The second time is after the
claim is committed: a process that was fenced takes the account back if it sees no claim within two seconds. Records
that another process published between the reading and the claim show then, and the slot takes the account over once
more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.errors import TransactionalIdAuthorizationFailed

from bridge.delivery.client.consumer import last_offsets
from bridge.delivery.client.failures import DENIED
from bridge.delivery.client.fence import fence
from bridge.delivery.client.topics import earlier_transactional_id, topic_name, transactional_ids_of
from bridge.delivery.position.earlier_seal import Unsealable
from bridge.delivery.position.owner import owner_of
from bridge.delivery.position.position import EMPTY_POSITION, LOST
from bridge.delivery.position.stored import StoredPosition, open_position
from bridge.events import operation
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.delivery.position.owner import Owner
    from bridge.delivery.position.position import Position
    from bridge.delivery.position.reader import Found, PositionReader, Reading
    from bridge.delivery.slots.kafka import KafkaPublisher
    from bridge.settings import Kafka

_NOTHING: Final = StoredPosition(owner="", turn=0)
log = structlog.get_logger(__name__)


class Takeover:
    """Takes `members` of a slot over for `owner`: `read`, then commit claims, then ask `overtaken`.

    A member that has a claim already is the bridge's own: the bridge only changes its pair of transactional ids.
    """

    def __init__(
        self, settings: Kafka, slot: int, reader: PositionReader, owner: Owner, members: Sequence[KafkaPublisher]
    ) -> None:
        self._settings = settings
        self._slot = slot
        self._reader = reader
        self._owner = owner
        self._members = members
        self._keys = [one.keys for one in members]
        self._own = {one.account for one in members if one.claim is not None}
        self._exactly_once = settings.delivery is Delivery.EXACTLY_ONCE
        self._fenced: set[str] = set()
        """The other transactional ids that were fenced."""
        self._ledger_ends: dict[int, int] | None = None
        self.end = 0
        """The offset where the slot ended when it was read."""

    async def read(self) -> Reading:
        """Read what counts of each account, with nothing hidden, and with nothing under way under other ids.

        Raises:
            TransactionalIdAuthorizationFailed: the producer of another id may not be fenced.
            KafkaUnavailable: another producer's transaction stays open.
        """
        foreign = len(self._own) < len(self._members)
        reading = await self._reader.read(self._keys, settled=True, wait=not self._exactly_once, foreign=foreign)
        while self._exactly_once:
            others = self._other_ids(reading)
            if others.keys() <= self._fenced and not reading.hidden:
                break
            for denied in await fence(self._settings, others.keys() - self._fenced):
                if reading.accounts[others[denied]].foreign is not None:
                    raise TransactionalIdAuthorizationFailed(denied)
            self._fenced |= others.keys()
            reading = await self._reader.read(self._keys, settled=True, foreign=foreign)
        self.end = reading.end
        return reading

    def _other_ids(self, reading: Reading) -> dict[str, str]:
        """The ids that another process may publish with, and for each an account. The own producers fence their own."""
        ids: dict[str, str] = {}
        for account, found in reading.accounts.items():
            if account in self._own or found.last < 0:  # without any record there is no other process
                continue
            other = None if found.foreign is None else owner_of(found.foreign.owner)
            if other is None:
                ids[earlier_transactional_id(self._settings, account)] = account
            elif other.pair != self._owner.pair:
                ids |= dict.fromkeys(transactional_ids_of(self._settings, self._slot, other.pair), account)
        return ids

    async def overtaken(self, claimed_at: int) -> set[str]:
        """Return the accounts that another process published between the reading and the claims; it can't any more.

        `claimed_at` is the offset of the first claim. Where nothing lies between the two, nothing needs to be read.
        """
        if not self._exactly_once or (claimed_at == self.end and not self._fenced):
            return set()
        if self._fenced:
            await fence(self._settings, self._fenced)
        again = await self._reader.read(self._keys, settled=True, since=self.end)
        return {account for account, found in again.accounts.items() if found.last_foreign >= self.end}

    async def claim(self, publisher: KafkaPublisher, found: Found) -> tuple[StoredPosition, Position]:
        """Return the claim of an account, and the position that belongs beside it."""
        # A claim that was overtaken, or whose outcome was unknown, tells nothing new of the position.
        stored = found.stored if publisher.account in self._own else found.foreign or found.stored
        before, until = await self._unsigned_before(stored or _NOTHING, publisher.unsigned.age)
        revision = 1 + max(one.revision for one in (found.stored, found.foreign, _NOTHING) if one is not None)
        claim = StoredPosition(
            owner=str(self._owner), turn=0, revision=revision, unsigned_before=before, unsigned_until=until
        )
        return claim, await _position_in(stored, publisher, is_first=found.last < 0)

    async def _unsigned_before(self, stored: StoredPosition, age: float) -> tuple[dict[int, int], float]:
        """Tell where the ledger's events end that version 0.1.0 may have written, and until when they count.

        They end where the ledger ends at the first start after the update. After that the position keeps the place.
        """
        now = time.time()
        if stored.revision:
            return (stored.unsigned_before, stored.unsigned_until) if now < stored.unsigned_until else ({}, 0.0)
        if now - stored.last_reply_at > age:  # it is no update, or one after a long time
            return {}, 0.0
        if self._ledger_ends is None:
            try:
                ends = await last_offsets(self._settings, [topic_name(self._settings, operation.TOPIC)])
            except DENIED:
                return {}, 0.0
            self._ledger_ends = {place.partition: end for place, end in ends.items()}
        return self._ledger_ends, now + age


async def _position_in(stored: StoredPosition | None, publisher: KafkaPublisher, *, is_first: bool) -> Position:
    """Return where to go on. Where only records of foreign hands are left, a session may have been lost."""
    if stored is None:
        return EMPTY_POSITION if is_first else LOST
    try:
        return await open_position(stored, publisher.keys)
    except Unsealable as error:
        log.warning("position-unreadable", account=publisher.account, reason=str(error))
        return LOST
