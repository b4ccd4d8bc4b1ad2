"""Limits how many tasks do the same costly thing at the same time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Gate:
    """Has `places` places. A task that holds its place for more than `longest` seconds no longer counts.

    So a server that hangs for some tasks does not stop the others.
    """

    def __init__(self, places: int, longest: float) -> None:
        self._places = asyncio.Semaphore(places)
        self._longest = longest

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None, None]:
        """Wait for a free place, and hold it during the block, but for `longest` seconds at most."""
        await self._places.acquire()
        held = True

        def give_up() -> None:
            nonlocal held
            if held:
                held = False
                self._places.release()

        giving_up = asyncio.get_running_loop().call_later(self._longest, give_up)
        try:
            yield
        finally:
            giving_up.cancel()
            give_up()
