"""Decides when an operation whose acknowledgement does not come has timed out, and ends it.

The process that relays an account times its operations out: no other process sees the account's acknowledgements. Where
none does, because no process relays the account or its relay never gets a reply, any process may, much later.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from bridge.errors import KafkaUnavailable
from bridge.events import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bridge.delivery import Ledger
    from bridge.operations.correlation import Correlator
    from bridge.operations.limits import Limits
    from bridge.operations.view.state import OperationView
    from bridge.operations.view.view import OperationsView

log = structlog.get_logger(__name__)

ORPHANS_INTERVAL: Final = 60.0
"""Seconds between two looks for operations that no relaying process times out."""


class Timeouts:
    """Times out the operations of all accounts.

    `in_progress` tells whether an operation is still being forwarded, or is about to end otherwise. `loaded` is set
    once the view holds all that the ledger held at the start. `end` times an operation out, at a moment or now.
    """

    def __init__(
        self,
        view: OperationsView,
        correlators: Mapping[str, Correlator],
        ledger: Ledger,
        limits: Limits,
        *,
        loaded: asyncio.Event,
        in_progress: Callable[[OperationView], bool],
        end: Callable[[OperationView, str | None], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._correlators = correlators
        self._ledger = ledger
        self._timeout = limits.acknowledgement_timeout
        self._orphaned_after = limits.async_max_age + limits.acknowledgement_timeout
        self._loaded = loaded
        self._in_progress = in_progress
        self._end = end
        self._clock = clock

    async def run(self) -> None:
        """Look for ever, several times in each time-out: what a crash left behind ends as well."""
        orphans_due = 0.0
        while True:
            await asyncio.sleep(min(1.0, self._timeout / 4))
            self._view.evict()
            for account, correlator in self._correlators.items():
                if correlator.decides(after=self._timeout):
                    for view in self._overdue(account, self._timeout):
                        self._end(view, None)
            if self._loaded.is_set() and time.monotonic() >= orphans_due:
                await self._end_orphans()
                orphans_due = time.monotonic() + min(ORPHANS_INTERVAL, self._orphaned_after / 4)

    async def _end_orphans(self) -> None:
        """End what no relaying process has ended.

        Several processes may do so at once. They write the same time, so their events have the same id.
        """
        if not any(self._orphans()):
            return
        try:
            await self._ledger.catch_up()  # somebody may have ended them, and this process not know it yet
        except KafkaUnavailable:
            return
        orphans = list(self._orphans())
        for view in orphans:
            self._end(view, rfc3339(view.began + self._orphaned_after))
        if orphans:
            log.warning("operations-forsaken", operations=len(orphans), accounts=len({one.account for one in orphans}))

    def _orphans(self) -> Iterator[OperationView]:
        for account in self._view.accounts():
            yield from self._overdue(account, self._orphaned_after)

    def _overdue(self, account: str, after: float) -> Iterator[OperationView]:
        """Yield the account's operations that have waited for their acknowledgement for `after` seconds."""
        due = self._clock() - after
        for view in self._view.pending(account):
            forwarded = self._view.forwarded.get(view.reference_id)
            began = view.began if forwarded is None else max(view.began, forwarded.at)
            if began <= due and not self._in_progress(view):
                yield view
