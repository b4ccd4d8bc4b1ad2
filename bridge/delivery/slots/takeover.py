"""Takes accounts over: reads their last positions, and makes the claims for them.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it. A claim is the first
record that a bridge writes to this topic for an account. With the claim the bridge becomes the account's owner.

When a slot starts its producers, Kafka fences the process that used the same transactional ids before. But an account
may have been published with other ids. An earlier version had one id for each account. A bridge with other accounts of
the same slot uses another pair of ids. The account's last record in the position topic shows which ids were used. The
takeover fences the producers with these ids twice:

1. Before the takeover reads the position. This commits or aborts the open transaction of the other process.
2. After the claim is committed. A fenced process takes its accounts back if it sees no claim within two seconds, so
   that process may have published again meanwhile. The takeover then reads the partition once more. If it finds
   records that another process wrote between the reading and the claim, the slot takes the account over again.

A process may also hang in its takeover, and find out afterwards that another process has taken the account over in the
meantime (`Predecessors`). Then it gives way.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.errors import TransactionalIdAuthorizationFailed

from bridge.delivery.client.consumer import last_offsets
from bridge.delivery.client.failures import DENIED
from bridge.delivery.client.topics import earlier_transactional_id, topic_name, transactional_ids_of
from bridge.delivery.position.earlier_seal import Unsealable
from bridge.delivery.position.owner import owner_of
from bridge.delivery.position.position import EMPTY_POSITION, LOST
from bridge.delivery.position.stored import StoredPosition, open_position
from bridge.delivery.slots.fencing import fence
from bridge.events import operation
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.delivery.position.owner import Owner
    from bridge.delivery.position.position import Position
    from bridge.delivery.position.reader import Found, PositionReader, Reading
    from bridge.delivery.slots.kafka_publisher import KafkaPublisher
    from bridge.settings import Kafka

_NOTHING: Final = StoredPosition(owner="", turn=0)
log = structlog.get_logger(__name__)


class Predecessors:
    """The bridges that relayed the accounts of a slot before `owner` began to take the accounts over."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._is_pair_known = False

    def first_pair(self, reading: Reading) -> int | None:
        """Return the first pair of transactional ids in the accounts' last records. None after the first call."""
        if self._is_pair_known or not reading.accounts:
            return None
        self._is_pair_known = True
        owners = [owner_of(_owner_in(found)) for found in reading.accounts.values()]
        return min((owner.pair for owner in owners if owner is not None), default=0)

    def note(self, reading: Reading, read: Sequence[KafkaPublisher], members: Mapping[str, KafkaPublisher]) -> None:
        """Remember the owners of the accounts that are read for the first time since they came to the slot.

        Remove accounts from the reading that have left the slot (`members`) while they were `read`.
        """
        for one in read:
            if members.get(one.account) is not one:
                reading.accounts.pop(one.account, None)
        for account, found in reading.accounts.items():
            self._owners.setdefault(account, _owner_in(found))

    def forget(self, account: str) -> None:
        """Forget the owner of an account that leaves the slot. Other bridges may relay it until it comes back."""
        self._owners.pop(account, None)

    def overtakers(self, reading: Reading, owner: Owner) -> list[str]:
        """Return the accounts that another bridge has taken over since the first reading that `note` got.

        Only a bridge with the same pair of transactional ids counts. With `exactly-once`, such a bridge first starts
        its producers, which fences `owner`, and then claims the account. So `owner` can't have claimed the account
        after that bridge. With `at-least-once` Kafka fences nothing. So `owner` calls this method just before it claims
        the account.
        """
        overtaken = []
        for account, found in reading.accounts.items():
            before, now = owner_of(self._owners[account]), _owner_in(found)
            if owner.collides(now) and (before is None or not before.wrote(now)):
                overtaken.append(account)
        return overtaken


def _owner_in(found: Found) -> str:
    return "" if found.stored is None else found.stored.owner


class Takeover:
    """The takeover of some accounts of a slot (`members`) by `owner`.

    The caller calls `read` and `claim`, commits the claims, and then calls `overtaken`. If a member already has a
    claim, this bridge owns the account, and the new claim only records a new pair of transactional ids or a new key.
    `last_revision` returns the last revision that this bridge wrote when it owned the account before, or -1.
    """

    def __init__(
        self,
        settings: Kafka,
        slot: int,
        reader: PositionReader,
        owner: Owner,
        members: Sequence[KafkaPublisher],
        *,
        last_revision: Callable[[str], int],
    ) -> None:
        self._settings = settings
        self._slot = slot
        self._reader = reader
        self._owner = owner
        self._members = members
        self._last_revision = last_revision
        self._keys = [one.keys for one in members]
        self._own = {one.account for one in members if one.claim is not None}
        self._exactly_once = settings.delivery is Delivery.EXACTLY_ONCE
        self._fenced: set[str] = set()
        """The transactional ids of other processes that were fenced."""
        self._ledger_ends: dict[int, int] | None = None
        self.end = 0
        """The end offset of the slot's partition when `read` began its last search."""

    async def read(self) -> Reading:
        """Return the last genuine records of each account.

        With `exactly-once` the method first fences all other processes that may publish the accounts. So their open
        transactions are settled, and no record is hidden.

        Raises:
            TransactionalIdAuthorizationFailed: the bridge lacks the right to fence a transactional id.
            KafkaUnavailable: the transaction of another producer stays open.
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
        """Return the transactional ids of other processes, each with an account that they may publish.

        The ids of the slot's own pair are not included, because the start of the slot's producers fences these.
        """
        ids: dict[str, str] = {}
        for account, found in reading.accounts.items():
            if account in self._own or found.last < 0:  # without a record no other process has published the account
                continue
            other = None if found.foreign is None else owner_of(found.foreign.owner)
            if other is None:
                ids[earlier_transactional_id(self._settings, account)] = account
            elif other.pair != self._owner.pair:
                ids |= dict.fromkeys(transactional_ids_of(self._settings, self._slot, other.pair), account)
        return ids

    async def overtaken(self, claimed_at: int) -> set[str]:
        """Return the accounts that another process published after `read` and before the commit of the claims.

        The method first fences that process again. `claimed_at` is the offset of the first claim. If no record lies
        between the reading and this offset, and no process had to be fenced, the method reads nothing.
        """
        if not self._exactly_once or (claimed_at == self.end and not self._fenced):
            return set()
        if self._fenced:
            await fence(self._settings, self._fenced)
        again = await self._reader.read(self._keys, settled=True, since=self.end)
        return {account for account, found in again.accounts.items() if found.last_foreign >= self.end}

    async def claim(self, publisher: KafkaPublisher, found: Found) -> tuple[StoredPosition, Position]:
        """Return the claim for an account, and the position that the claim's record contains."""
        # `found.stored` may be this bridge's own claim from a takeover that failed. So prefer the last position that
        # another bridge wrote, unless this bridge has owned the account after that.
        stored, foreign = found.stored, found.foreign
        if publisher.account not in self._own and foreign is not None:
            stored = foreign if foreign.revision > self._last_revision(publisher.account) else stored
        before, until = await self._unsigned_before(stored or _NOTHING, publisher.unsigned.age)
        revision = 1 + max(one.revision for one in (found.stored, found.foreign, _NOTHING) if one is not None)
        claim = StoredPosition(
            owner=str(self._owner), turn=0, revision=revision, unsigned_before=before, unsigned_until=until
        )
        return claim, await _position_in(stored, publisher, is_first=found.last < 0)

    async def _unsigned_before(self, stored: StoredPosition, age: float) -> tuple[dict[int, int], float]:
        """Return which events of the operations topic version 0.1.0 may have written, without signatures.

        Returns an end offset for each partition, and the time (seconds since the epoch) until which such events count.
        The first start after the update uses the topic's end offsets. Later starts read both values from the position.
        """
        now = time.time()
        if stored.revision:
            return (stored.unsigned_before, stored.unsigned_until) if now < stored.unsigned_until else ({}, 0.0)
        if now - stored.last_reply_at > age:  # there is no position of an earlier version, or it is too old
            return {}, 0.0
        if self._ledger_ends is None:
            try:
                ends = await last_offsets(self._settings, [topic_name(self._settings, operation.TOPIC)])
            except DENIED:
                return {}, 0.0
            self._ledger_ends = {place.partition: end for place, end in ends.items()}
        return self._ledger_ends, now + age


async def _position_in(stored: StoredPosition | None, publisher: KafkaPublisher, *, is_first: bool) -> Position:
    """Return the position to resume from: `LOST` if the account has records but none of them can be used."""
    if stored is None:
        return EMPTY_POSITION if is_first else LOST
    try:
        return await open_position(stored, publisher.keys)
    except Unsealable as error:
        log.warning("position-unreadable", account=publisher.account, reason=str(error))
        return LOST
