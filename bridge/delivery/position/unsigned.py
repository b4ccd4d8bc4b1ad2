"""Which events on the ledger need no signature: those that version 0.1.0 wrote, which signed none."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATIENCE: Final = 30.0
"""Seconds that a decision waits for the account's position, which tells where the unsigned events end."""


class UnsignedEvents:
    """Of one account. The publisher tells where they end, once it has read the account's position.

    They count for `age` (s) after the update, and only where they lie before the first start of a bridge that signs.
    """

    def __init__(self, age: float, clock: Callable[[], float] = time.time) -> None:
        self.age = age
        self._clock = clock
        self._before: Mapping[int, int] = {}
        self._until = 0.0
        self._known = asyncio.Event()

    def end(self, before: Mapping[int, int], until: float) -> None:
        """Take note that they end `before` these offsets, by partition, and count `until` then (epoch seconds)."""
        self._before, self._until = before, until
        self._known.set()

    async def cover(self, partition: int, offset: int) -> bool:
        """Tell whether the event there needs no signature.

        If that is still unknown after 30 s, the event needs a signature.
        """
        if not self._known.is_set():
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._known.wait()
            except TimeoutError:
                self._known.set()  # nobody waits a second time
        return offset < self._before.get(partition, 0) and self._clock() < self._until
