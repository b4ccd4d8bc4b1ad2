"""Reads the positions of accounts that other processes relay, to show their sessions.

This does not take the accounts over.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from bridge.delivery.client.failures import FAILURES, reason
from bridge.delivery.client.topics import slot_of
from bridge.delivery.position.earlier_seal import Unsealable
from bridge.delivery.position.owner import new_owner
from bridge.delivery.position.reader import PositionReader
from bridge.delivery.position.stored import open_position
from bridge.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bridge.delivery.position.keys import AccountKeys
    from bridge.delivery.position.position import Position
    from bridge.settings import Kafka

FRESH: Final = 1.0
"""Seconds after a search during which `read` returns the same result again."""
AT_ONCE: Final = 4
"""Maximum number of slots that are read at the same time. Each slot needs a connection."""


class OthersPositions:
    """Finds the newest genuine position of each account.

    `keys` are the keys of all accounts, by name. The mapping may change between two searches.
    """

    def __init__(self, settings: Kafka, keys: Mapping[str, AccountKeys]) -> None:
        self._settings = settings
        self._keys = keys
        self._owner = new_owner()
        self._readers: dict[int, PositionReader] = {}
        self._reading = asyncio.Lock()
        self._wanted: set[str] = set()
        self._found: dict[str, Position] = {}
        self._read_at = float("-inf")

    async def read(self, accounts: Collection[str], slots: int) -> Mapping[str, Position]:
        """Return the last committed position of each account that has one. `slots` is the number of slots.

        Only one search runs at a time, and callers within `FRESH` seconds share its result.

        Raises:
            KafkaUnavailable: the positions can't be read within `request_timeout`.
        """
        async with self._reading:
            if set(accounts) <= self._wanted and time.monotonic() - self._read_at < FRESH:
                return self._found
            try:
                async with asyncio.timeout(self._settings.request_timeout):
                    self._found = await self._search(accounts, slots)
            except FAILURES as error:
                raise KafkaUnavailable(f"Kafka is unreachable now ({reason(error)}).") from None
            self._wanted, self._read_at = set(accounts), time.monotonic()
            return self._found

    async def _search(self, accounts: Collection[str], slots: int) -> dict[str, Position]:
        by_slot: defaultdict[int, list[AccountKeys]] = defaultdict(list)
        for name in self._keys.keys() & accounts:  # the others have left meanwhile
            by_slot[slot_of(name, slots)].append(self._keys[name])
        places = asyncio.Semaphore(AT_ONCE)

        async def read(slot: int) -> dict[str, Position]:
            async with places:
                return await self._read(slot, by_slot[slot])

        results = await asyncio.gather(*map(read, by_slot))
        return {name: position for result in results for name, position in result.items()}

    async def _read(self, slot: int, keys: list[AccountKeys]) -> dict[str, Position]:
        reader = self._readers.get(slot)
        if reader is None:
            reader = self._readers[slot] = PositionReader(self._settings, slot, self._owner)
        reading = await reader.read(keys, settled=False)
        found = {}
        for one in keys:
            stored = reading.accounts[one.account].stored
            if stored is not None:
                try:
                    found[one.account] = await open_position(stored, one)
                except Unsealable:
                    continue  # signed, but with a damaged secret: the reader of a takeover reports it
        return found
