"""Decides which events on the operations topic need no signature. Version 0.1.0 wrote events without signatures."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATIENCE: Final = 30.0
"""Seconds that `cover` waits for a call of `end`."""


class UnsignedEvents:
    """Decides which unsigned events of an account are accepted.

    An unsigned event is accepted if it was written before the first start of a bridge that signs events, and only for
    `age` seconds after that start. The publisher calls `end` when it has read the account's position.
    """

    def __init__(self, age: float, clock: Callable[[], float] = time.time) -> None:
        self.age = age
        self._clock = clock
        self._before: Mapping[int, int] = {}
        self._until = 0.0
        self._known = asyncio.Event()

    def end(self, before: Mapping[int, int], until: float) -> None:
        """Set the end of the unsigned events: an offset for each partition, and a time in seconds since the epoch."""
        self._before, self._until = before, until
        self._known.set()

    async def cover(self, partition: int, offset: int) -> bool:
        """Return whether the event at this offset needs no signature.

        If the end of the unsigned events is still unknown after `PATIENCE`, all events need a signature.
        """
        if not self._known.is_set():
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._known.wait()
            except TimeoutError:
                self._known.set()  # later calls do not wait again
        return offset < self._before.get(partition, 0) and self._clock() < self._until
