"""Reads the ledger into the view: first all events from before the start, then the new events of all replicas."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from bridge.delivery import unreadable_records
from bridge.errors import RegistryUnavailable
from bridge.observability import metrics
from bridge.operations.ledger.records import UnreadableEvent
from bridge.operations.ledger.signatures import Origin
from bridge.operations.view.state import PENDING
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery import ConsumedRecord, Ledger
    from bridge.events import Operation
    from bridge.operations.ledger.precedence import Precedence
    from bridge.operations.ledger.records import OperationEvent, OperationRecords
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


class LedgerReading:
    """Applies the ledger's events to the view. Calls `learnt` with each pending operation that was unknown before.

    In a fleet it also passes each trusted event to `precedence`.
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
        self._took_at = 0.0
        """When the view last got events, or when `run` began, by the clock of the event loop."""
        self.loaded = asyncio.Event()
        """Set once the events from before the start have been read into the view."""

    async def run(self) -> None:
        """Read the ledger. Runs until cancelled."""
        self._view.loading = True
        self._took_at = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ledger.follow(self._take, self._caught_up))
            group.create_task(self._make_up())

    async def loaded_soon(self, patience: float) -> None:
        """Wait until the ledger is read. Give up `patience` seconds after the start or the last event."""
        waited_from = None
        while not self.loaded.is_set() and waited_from != self._took_at:
            waited_from = self._took_at
            with suppress(TimeoutError):
                async with asyncio.timeout_at(waited_from + patience):
                    await self.loaded.wait()

    async def _take(self, records: Sequence[ConsumedRecord]) -> int | None:
        left_out: list[int] = []
        untrusted = 0
        for first in range(0, len(records), SLICE):
            if first:
                await asyncio.sleep(0)
            read = await self._read_slice(records[first : first + SLICE])
            together: dict[tuple[str, bool], list[Operation]] = {}
            begins: dict[tuple[str, bool], int] = {}
            for index, (event, origin) in read.items():
                untrusted += origin is Origin.UNSIGNED
                key = event.reference_id, origin.trusted
                begins.setdefault(key, first + index)
                together.setdefault(key, []).append(event)
            for key, events in together.items():
                if not self._apply(events, trusted=key[1]):
                    left_out.append(begins[key])
            if self._precedence is not None:
                for index, (event, origin) in read.items():
                    if origin.trusted:
                        self._precedence.read(event, records[first + index].headers)
            self._took_at = asyncio.get_running_loop().time()
        self._tell_untrusted(untrusted)
        return min(left_out, default=None)

    async def _read_slice(self, records: Sequence[ConsumedRecord]) -> dict[int, OperationEvent]:
        """Return the readable events, by the index of their record."""
        read: dict[int, OperationEvent] = {}
        for index, record in enumerate(records):
            try:
                read[index] = await self._read(record)
            except UnreadableEvent as error:
                self._unreadable.found(str(error))
        return read

    def _apply(self, events: Sequence[Operation], *, trusted: bool) -> bool:
        """Apply events of one operation. Return False if the view has no room for the operation."""
        known = self._view.trusted(events[0].reference_id) is not None
        if trusted and not known and self._view.full() and all(event.status in PENDING for event in events):
            self._leave_out(len(events))
            return False
        view = self._view.apply(*events, trusted=trusted)
        if view is not None and view.pending and view.trusted and not known:
            self._learnt(view)
        return True

    def _leave_out(self, events: int) -> None:
        """Count and log events of a pending operation that the view has no room for."""
        metrics.operation_events_left_out.inc(events)
        if not self._left_out:
            log.error(
                "operations-left-out",
                reason="the view is full of pending operations. The bridge leaves out further operations, and does "
                "not end them, until there is room to read them from Kafka again",
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
        backoff: Backoff | None = None
        while True:
            try:
                return await self._records.read(record)
            except RegistryUnavailable as error:
                if backoff is None:
                    log.warning("operation-events-held", reason=str(error))
                    backoff = Backoff(cap=PATIENCE)
                await asyncio.sleep(backoff.next_delay())

    def _caught_up(self) -> None:
        self._view.sort()
        log.info("operations-loaded", operations=len(self._view))
        self.loaded.set()
