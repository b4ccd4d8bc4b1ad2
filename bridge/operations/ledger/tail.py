"""Reads the ledger into the view: first all events from before the start, then the new events of all replicas."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from bridge.delivery import unreadable_records
from bridge.errors import RegistryUnavailable
from bridge.observability import metrics
from bridge.operations.ledger.records import OperationEvent, UnreadableEvent
from bridge.operations.ledger.signatures import Origin
from bridge.operations.view.state import PENDING
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery import ConsumedRecord, Ledger
    from bridge.operations.ledger.precedence import Precedence
    from bridge.operations.ledger.records import OperationRecords
    from bridge.operations.view.state import OperationView
    from bridge.operations.view.view import OperationsView

log = structlog.get_logger(__name__)

SLICE: Final = 100
"""Number of records that are read without letting other tasks run: a few milliseconds of work. At a start the bridge
connects while it reads a long ledger."""
PATIENCE: Final = 5.0
"""Maximum seconds between two attempts to fetch a schema from the registry."""


ROOM_INTERVAL: Final = 5.0
"""Seconds between two checks whether the view has room again for operations that were left out."""
ROOMY: Final = 0.5
"""The ledger is read again once pending operations take less than this share of the view's limits."""


class Tail:
    """Applies the ledger's events to the view. Calls `learnt` with each pending operation that was unknown before.

    In a fleet it also passes them to `precedence`.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: OperationRecords,
        view: OperationsView,
        learnt: Callable[[OperationView], None],
        precedence: Precedence | None = None,
    ) -> None:
        self._ledger = ledger
        self._records = records
        self._view = view
        self._learnt = learnt
        self._precedence = precedence
        self._unreadable = unreadable_records(ledger.topic)
        self._left_out = False
        self._told_untrusted = False
        self.loaded = asyncio.Event()
        """Set once the events from before the start have been read into the view."""

    async def run(self) -> None:
        """Read the ledger. Runs until cancelled."""
        self._view.loading = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ledger.follow(self._take, self._caught_up))
            group.create_task(self._make_up())

    async def _take(self, records: Sequence[ConsumedRecord]) -> int | None:
        left_out: int | None = None
        untrusted = 0
        for index, record in enumerate(records):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            try:
                event, origin = await self._read(record)
            except UnreadableEvent as error:
                self._unreadable.found(str(error))
                continue
            untrusted += origin is Origin.UNSIGNED
            if self._precedence is not None and origin.trusted:
                self._precedence.read(event, record.headers)
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
        """Count and log an event of a pending operation that the view has no room for."""
        metrics.operation_events_left_out.inc()
        if not self._left_out:
            log.error(
                "operations-left-out",
                reason="the view is full of pending operations. The bridge leaves further ones out, and does not end "
                "them, until there is room to read them from Kafka again",
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
        """Count untrusted events. If successive batches contain untrusted events, log only the first batch."""
        metrics.records_untrusted.labels(self._ledger.topic).inc(events)
        if events and not self._told_untrusted:
            log.warning("operation-events-untrusted", events=events)
        self._told_untrusted = events > 0

    async def _read(self, record: ConsumedRecord) -> OperationEvent:
        """Return the event in a record, trusted or not. Wait while the registry does not return its schema.

        Raises:
            UnreadableEvent: the record is not an event that a bridge could have written.
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
