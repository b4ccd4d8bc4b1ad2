"""Ends operations whose acknowledgement does not arrive in time.

Normally the process that relays an account times out the account's operations, because only that process receives the
acknowledgements. An operation is orphaned if no process times it out, for example because no process relays the
account. Any process may end an orphaned operation, but only much later.

The clocks of processes differ, and may jump. So the process that relays an account measures with its monotonic clock
for how long it has known an operation. A restart sets the time to 0. An orphaned operation's age comes from its events.
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
"""Seconds between two searches for orphaned operations."""


class Timeouts:
    """Times out the operations of all accounts.

    `in_progress` returns whether an operation is being forwarded or acknowledged. Such an operation must not time out.
    `loaded` is set once the ledger has been read into the view. `end` writes the `timed-out` event. The second argument
    of `end` is the event's time, None for the present time.
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
        """Check the pending operations, also those from before a crash, at least once a second until cancelled."""
        orphans_due = 0.0
        while True:
            await asyncio.sleep(min(1.0, self._timeout / 4))
            self._view.evict()
            for account, correlator in self._correlators.items():
                if correlator.decides(after=self._timeout):
                    for view in self._overdue(account):
                        self._end(view, None)
            if self._loaded.is_set() and time.monotonic() >= orphans_due:
                await self._end_orphans()
                orphans_due = time.monotonic() + min(ORPHANS_INTERVAL, self._orphaned_after / 4)

    async def _end_orphans(self) -> None:
        """End the orphaned operations.

        Several processes may end the same operation. All of them write the same time, so their events have the same id.
        """
        if not any(self._orphans()):
            return
        try:
            await self._ledger.catch_up()  # another process may have ended some of them already
        except KafkaUnavailable:
            return
        orphans = list(self._orphans())
        for view in orphans:
            self._end(view, rfc3339(view.began + self._orphaned_after))
        if orphans:
            log.warning("operations-forsaken", operations=len(orphans), accounts=len({one.account for one in orphans}))

    def _orphans(self) -> Iterator[OperationView]:
        due = self._clock() - self._orphaned_after
        for account in self._view.accounts():
            for view in self._view.pending(account):
                if view.began <= due and not self._in_progress(view):
                    yield view

    def _overdue(self, account: str) -> Iterator[OperationView]:
        """Yield the account's pending operations that this process has known at least as long as the time-out."""
        for view in self._view.pending(account):
            if self._view.known_for(view.reference_id) >= self._timeout and not self._in_progress(view):
                yield view
