"""Times out the operations that no relaying process times out.

No process may relay their account, or its relay never gets a reply.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from bridge.errors import KafkaUnavailable
from bridge.events import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.delivery import Ledger
    from bridge.operations.view.state import OperationView
    from bridge.operations.view.view import OperationsView

log = structlog.get_logger(__name__)

INTERVAL: Final = 60.0
"""Seconds between two looks."""


class OrphanedOperations:
    """The relaying process normally times operations out. After `limit` seconds any process may.

    Several processes may do so at once. They write the same time, so their events have the same id. `in_progress` tells
    whether an operation is still being forwarded, or is about to end otherwise. `loaded` is set once the view holds all
    that the ledger held at the start.
    """

    def __init__(
        self,
        view: OperationsView,
        ledger: Ledger,
        *,
        limit: float,
        loaded: asyncio.Event,
        in_progress: Callable[[OperationView], bool],
        end: Callable[[OperationView, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._ledger = ledger
        self._limit = limit
        self._loaded = loaded
        self._in_progress = in_progress
        self._end = end
        self._clock = clock

    async def run(self) -> None:
        """Look for ever."""
        await self._loaded.wait()
        while True:
            if any(self._overdue()):
                await self._end_them()
            await asyncio.sleep(min(INTERVAL, self._limit / 4))

    async def _end_them(self) -> None:
        try:
            await self._ledger.catch_up()  # somebody may have ended them, and this process not know it yet
        except KafkaUnavailable:
            return
        overdue = list(self._overdue())
        for view in overdue:
            self._end(view, rfc3339(view.began + self._limit))
        if overdue:
            log.warning("operations-forsaken", operations=len(overdue), accounts=len({one.account for one in overdue}))

    def _overdue(self) -> Iterator[OperationView]:
        due = self._clock() - self._limit
        for account in self._view.accounts():
            for view in self._view.pending(account):
                if view.began <= due and not self._in_progress(view):
                    yield view
