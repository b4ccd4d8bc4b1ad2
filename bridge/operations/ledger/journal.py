"""Writes the operations' events to the ledger. `append` waits until Kafka has the event, `note` does not.

A single task writes all events in batches, so the events of one operation keep their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from bridge.delivery import size_of
from bridge.errors import KafkaUnavailable
from bridge.observability import metrics
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.delivery import Ledger
    from bridge.events import Record

log = structlog.get_logger(__name__)

ROOM: Final = 10_000
"""Maximum number of events that wait while Kafka is unreachable. Further events are dropped, counted and logged."""
ROOM_BYTES: Final = 32 << 20
"""Maximum size of all waiting events, in bytes. An event with a large request has up to 150 KB."""
AT_ONCE: Final = 500
"""Maximum number of events in one write."""
APPEND_DEADLINE: Final = 5.0
"""Maximum seconds that `append` waits for Kafka."""
LINGER: Final = 0.005
"""Seconds that a write waits for more events, unless a caller waits. Few large writes are cheaper than many small
ones."""
FLUSH_DEADLINE: Final = 1.5
"""Seconds to write the remaining events at a planned stop, if Kafka is reachable."""


class _Entry:
    """An event that Kafka has not confirmed yet."""

    __slots__ = ("_landed", "record", "size", "tried")

    def __init__(self, record: Record, size: int) -> None:
        self.record = record
        self.size = size
        """The record's size in bytes."""
        self.tried = False
        """Whether a write of the event has begun, so that Kafka may have the event."""
        self._landed: asyncio.Future[None] | None = None

    async def landed(self) -> None:
        """Wait until Kafka has the event. If the caller is cancelled, other callers wait on."""
        if self._landed is None:  # for most events nobody waits
            self._landed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._landed)

    def has_landed(self) -> None:
        """Let all callers of `landed` go on."""
        if self._landed is not None and not self._landed.done():
            self._landed.set_result(None)


class Journal:
    """Writes all events to the ledger, except those that the relays' transactions contain (`acknowledged`)."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: deque[_Entry] = deque()
        self._writing: list[_Entry] = []
        self._bytes = 0
        """Size of all unconfirmed events."""
        self._newest: dict[bytes, _Entry] = {}
        """The last unconfirmed event of each key."""
        self._more = asyncio.Event()
        """Set when there are events to write."""
        self._urgent = asyncio.Event()
        """Set when a caller waits for an unconfirmed event."""
        self._lost = 0
        self.available = True
        """Whether the last write worked."""
        metrics.operation_events_waiting.set_function(lambda: len(self._waiting) + len(self._writing))

    async def append(self, record: Record, *, otherwise: Callable[[], Record]) -> None:
        """Return once Kafka has the record.

        If Kafka does not confirm the record in time, Kafka may or may not have stored it. So the journal then writes
        the record that `otherwise` returns, which revokes the unconfirmed record.

        Raises:
            KafkaUnavailable: Kafka did not confirm the record. Raised at once if the last write failed.
        """
        if not self.available:
            raise KafkaUnavailable("Kafka is unreachable now, so the bridge can't store the request there.")
        entry = self._add(record)
        if entry is None:
            raise KafkaUnavailable("Too many events wait for Kafka, so the bridge can't store the request there.")
        self._urgent.set()
        try:
            async with asyncio.timeout(APPEND_DEADLINE):
                await entry.landed()
        except (TimeoutError, asyncio.CancelledError) as error:
            if entry.tried:
                self.note(otherwise())
            else:
                self._waiting.remove(entry)
                self._done(entry)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise KafkaUnavailable("Kafka did not confirm in time that the request is stored.") from None

    def note(self, record: Record, *, urgent: bool = False) -> None:
        """Queue the record, to be written in the background. Drop the record if the queue is full.

        If the record is `urgent` (a caller waits for its effect), the write does not wait for more events.
        """
        self._add(record)
        if urgent:
            self._urgent.set()

    async def settled(self, key: bytes) -> None:
        """Return once Kafka has every event of that key that was queued before this call."""
        entry = self._newest.get(key)
        if entry is not None:
            self._urgent.set()
            await entry.landed()

    async def run(self) -> None:
        """Write events until cancelled. Then write the remaining events within `FLUSH_DEADLINE`."""
        try:
            await self._write_on()
        finally:
            self._put_back()
            try:
                async with asyncio.timeout(FLUSH_DEADLINE):
                    while self._waiting and self.available:
                        await self._write()
            except (KafkaUnavailable, TimeoutError):
                self._put_back()
            if self._waiting:
                log.warning("operation-events-left", events=len(self._waiting))

    async def _write_on(self) -> None:
        self._more.set()  # an empty first write connects to Kafka before a caller has to wait for the connection
        while True:
            await self._more.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await self._urgent.wait()
            self._more.clear()
            self._urgent.clear()
            await self._write_all()

    async def _write_all(self) -> None:
        """Write until the queue is empty. Retry while Kafka is unreachable."""
        backoff = Backoff()
        while True:
            try:
                await self._write()
            except KafkaUnavailable as error:
                self._put_back()
                if self.available:
                    log.warning("operation-events-held", reason=str(error))
                self.available = False
                await asyncio.sleep(backoff.next_delay())
                continue
            if not self.available:
                log.info("operation-events-resumed", lost=self._lost)
            self.available = True
            self._lost = 0
            if not self._waiting:
                return
            backoff = Backoff()

    async def _write(self) -> None:
        self._writing = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        for entry in self._writing:
            entry.tried = True
        await self._ledger.append([entry.record for entry in self._writing])
        for entry in self._writing:
            self._done(entry)
        self._writing = []

    def _put_back(self) -> None:
        self._waiting.extendleft(reversed(self._writing))
        self._writing = []

    def _add(self, record: Record) -> _Entry | None:
        size = size_of(record)
        if len(self._waiting) >= ROOM or self._bytes + size > ROOM_BYTES:
            metrics.operation_events_lost.inc()
            if self._lost == 0:
                reason = "Kafka has been unreachable for too long, and the queue of events is full"
                log.error("operation-events-lost", reason=reason, room=ROOM, bytes=ROOM_BYTES)
            self._lost += 1
            return None
        entry = _Entry(record, size)
        self._bytes += size
        self._waiting.append(entry)
        self._newest[record.key] = entry
        self._more.set()
        return entry

    def _done(self, entry: _Entry) -> None:
        self._bytes -= entry.size
        entry.has_landed()
        if self._newest.get(entry.record.key) is entry:
            del self._newest[entry.record.key]
