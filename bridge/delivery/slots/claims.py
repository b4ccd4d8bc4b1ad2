"""Taking accounts over: what a slot reads before it claims its accounts, and what the claims say.

Earlier versions published each account under a transactional id of its own, which no slot's producer fences. Where the
last record of an account does not come from a slot (`OWNER_PREFIX`), the takeover fences the earlier version's producer
by its own id, twice. The first time is before the position is read, because that settles the producer's open
transaction. The second time is after the claim is committed: a process of the earlier version that was fenced takes the
account back if it sees no claim within two seconds. Records that it published between the reading and the claim show
then, and the slot takes the account over once more.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.errors import TransactionalIdAuthorizationFailed

from bridge.delivery.client.consumer import last_offsets
from bridge.delivery.client.failures import DENIED
from bridge.delivery.client.fence import fence
from bridge.delivery.client.topics import earlier_transactional_id, topic_name
from bridge.delivery.position.earlier_seal import Unsealable
from bridge.delivery.position.position import EMPTY_POSITION, LOST
from bridge.delivery.position.stored import StoredPosition, open_position
from bridge.events import operation
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.delivery.position.position import Position
    from bridge.delivery.position.reader import Found, PositionReader, Reading
    from bridge.delivery.slots.kafka import KafkaPublisher
    from bridge.settings import Kafka

OWNER_PREFIX: Final = "slot-"
_NOTHING: Final = StoredPosition(owner="", turn=0)
log = structlog.get_logger(__name__)


def new_owner() -> str:
    """Draw the name that a slot's bridge signs its records with."""
    return OWNER_PREFIX + secrets.token_hex(8)


class Takeover:
    """Takes `members` over: `read`, then commit claims, then ask `was_overtaken`."""

    def __init__(self, settings: Kafka, reader: PositionReader, members: Sequence[KafkaPublisher]) -> None:
        self._settings = settings
        self._reader = reader
        self._members = members
        self._fenced: set[str] = set()
        """The accounts whose producer of an earlier version was fenced."""
        self._end = 0
        self.ledger_ends: dict[int, int] | None = None

    async def read(self) -> Reading:
        """Read what counts of each account, with nothing hidden, and nothing under way in an earlier version.

        Raises:
            TransactionalIdAuthorizationFailed: a producer of an earlier version may not be fenced.
            KafkaUnavailable: another producer's transaction stays open.
        """
        fences = self._settings.delivery is Delivery.EXACTLY_ONCE
        keys = [one.keys for one in self._members]
        reading = await self._reader.read(keys, settled=True, wait=not fences, foreign=True)
        while fences:
            earlier = {name for name, found in reading.accounts.items() if _is_earlier(found)} - self._fenced
            if not earlier and not reading.hidden:
                break
            await self._fence(earlier, reading)
            self._fenced |= earlier
            reading = await self._reader.read(keys, settled=True, foreign=True)
        self._end = reading.end
        return reading

    async def was_overtaken(self) -> bool:
        """Tell whether an earlier version has published between the reading and the claims. Now it can't any more."""
        if not self._fenced:
            return False
        keys = [one.keys for one in self._members if one.account in self._fenced]
        await fence(self._settings, [earlier_transactional_id(self._settings, one.account) for one in keys])
        again = await self._reader.read(keys, settled=True, since=self._end)
        return any(found.last_foreign >= self._end for found in again.accounts.values())

    async def claim(self, publisher: KafkaPublisher, found: Found, owner: str) -> tuple[StoredPosition, Position]:
        """Return the claim of an account, and the position that belongs beside it."""
        # A claim of this process that was overtaken, or whose outcome was unknown, tells nothing new of the position.
        stored = found.foreign or found.stored
        before, until = await self._unsigned_before(stored or _NOTHING, publisher.unsigned.age)
        revision = 1 + max(one.revision for one in (found.stored, found.foreign, _NOTHING) if one is not None)
        claim = StoredPosition(owner=owner, turn=0, revision=revision, unsigned_before=before, unsigned_until=until)
        return claim, await _position_in(stored, publisher, is_first=found.last < 0)

    async def _fence(self, accounts: set[str], reading: Reading) -> None:
        ids = {earlier_transactional_id(self._settings, name): name for name in accounts}
        for transactional_id in await fence(self._settings, ids):
            if reading.accounts[ids[transactional_id]].foreign is not None:
                raise TransactionalIdAuthorizationFailed(transactional_id)

    async def _unsigned_before(self, stored: StoredPosition, age: float) -> tuple[dict[int, int], float]:
        """Tell where the ledger's events end that version 0.1.0 may have written, and until when they count.

        They end where the ledger ends at the first start after the update. After that the position keeps the place.
        """
        now = time.time()
        if stored.revision:
            return (stored.unsigned_before, stored.unsigned_until) if now < stored.unsigned_until else ({}, 0.0)
        if now - stored.last_reply_at > age:  # it is no update, or one after a long time
            return {}, 0.0
        if self.ledger_ends is None:
            try:
                ends = await last_offsets(self._settings, [topic_name(self._settings, operation.TOPIC)])
            except DENIED:
                return {}, 0.0
            self.ledger_ends = {place.partition: end for place, end in ends.items()}
        return self.ledger_ends, now + age


def _is_earlier(found: Found) -> bool:
    """Whether an earlier version may publish the account: nothing shows that a slot has claimed it."""
    return found.foreign is None or not found.foreign.owner.startswith(OWNER_PREFIX)


async def _position_in(stored: StoredPosition | None, publisher: KafkaPublisher, *, is_first: bool) -> Position:
    """Return where to go on. Where only records of foreign hands are left, a session may have been lost."""
    if stored is None:
        return EMPTY_POSITION if is_first else LOST
    try:
        return await open_position(stored, publisher.keys)
    except Unsealable as error:
        log.warning("position-unreadable", account=publisher.account, reason=str(error))
        return LOST
