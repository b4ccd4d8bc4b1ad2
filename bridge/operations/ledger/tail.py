"""Keeps the view up with the ledger: what was before the start, and what other replicas write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from bridge.backoff import Backoff
from bridge.delivery import unreadable_records
from bridge.errors import RegistryUnavailable
from bridge.observability import metrics
from bridge.operations.ledger.records import OperationEvent, UnreadableEvent
from bridge.operations.ledger.signatures import Origin
from bridge.operations.view.state import PENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery import ConsumedRecord, Ledger
    from bridge.operations.ledger.records import OperationRecords
    from bridge.operations.view.state import OperationView
    from bridge.operations.view.view import OperationsView

log = structlog.get_logger(__name__)

PATIENCE: Final = 5.0
"""Seconds between two attempts to get a schema that the ledger's events need, at the most."""


ROOM_INTERVAL: Final = 5.0
"""Seconds between two looks whether operations that were left out have room now."""
ROOMY: Final = 0.5
"""Share of the view's bounds that may be pending when what was left out is read again."""


class Tail:
    """`learnt` hears of each operation that was not pending here before and is now."""

    def __init__(
        self,
        ledger: Ledger,
        records: OperationRecords,
        view: OperationsView,
        learnt: Callable[[OperationView], None],
    ) -> None:
        self._ledger = ledger
        self._records = records
        self._view = view
        self._learnt = learnt
        self._unreadable = unreadable_records(ledger.topic)
        self._left_out = False
        self._told_untrusted = False
        self.loaded = asyncio.Event()
        """Set once the view holds what the ledger had at the start."""

    async def run(self) -> None:
        """Follow for ever."""
        self._view.loading = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ledger.follow(self._take, self._caught_up))
            group.create_task(self._make_up())

    async def _take(self, records: Sequence[ConsumedRecord]) -> int | None:
        left_out: int | None = None
        untrusted = 0
        for index, record in enumerate(records):
            try:
                event, origin = await self._read(record)
            except UnreadableEvent as error:
                self._unreadable.found(str(error))
                continue
            untrusted += origin is Origin.UNSIGNED
            known = self._view.trusted(event.reference_id) is not None
            if origin.trusted and not known and event.status in PENDING and self._view.full():
                self._leave_out()
                left_out = index if left_out is None else left_out
                continue
            view = self._view.apply(event, trusted=origin.trusted)
            if view is not None and view.pending and view.trusted and not known:
                self._learnt(view)
        self._tell_untrusted(untrusted)
        return left_out

    def _leave_out(self) -> None:
        """Go on without an event of a pending operation: the view has no room, and memory has a bound."""
        metrics.operation_events_left_out.inc()
        if not self._left_out:
            log.error(
                "operations-left-out",
                reason="as many operations are pending as the view may hold; the ledger is read again once there is "
                "room, and until then the bridge does not end the others",
                operations=len(self._view),
                bytes=self._view.size,
            )
        self._left_out = True

    async def _make_up(self) -> None:
        """Read the ledger again when operations were left out and there is room for them."""
        while True:
            await asyncio.sleep(ROOM_INTERVAL)
            if self._left_out and not self._view.loading and not self._view.full(ROOMY):
                self._left_out = False
                self._view.loading = True
                log.info("operations-read-again")
                self._ledger.rewind()

    def _tell_untrusted(self, events: int) -> None:
        """Count events without effect; one line in the log for many that come one after another."""
        metrics.records_untrusted.labels(self._ledger.topic).inc(events)
        if events and not self._told_untrusted:
            log.warning("operation-events-untrusted", events=events)
        self._told_untrusted = events > 0

    async def _read(self, record: ConsumedRecord) -> OperationEvent:
        """Return the event, whoever wrote it; a schema that can't be had now is waited for.

        Raises:
            UnreadableEvent: it is none that the bridge could have written.
        """
        backoff = Backoff(cap=PATIENCE)
        while True:
            try:
                event, origin = await self._records.read(record)
            except RegistryUnavailable as error:
                if backoff.attempts == 0:
                    log.warning("operation-events-held", reason=str(error))
                await asyncio.sleep(backoff.next_delay())
            else:
                return OperationEvent(event, origin)

    def _caught_up(self) -> None:
        self._view.sort()
        log.info("operations-loaded", operations=len(self._view))
        self.loaded.set()
