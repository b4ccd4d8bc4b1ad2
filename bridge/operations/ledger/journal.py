"""Brings the operations' events into the ledger: durable where the caller waits for it, else in the background.

One task writes, whatever has gathered meanwhile at a time, so the events of one operation keep their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from bridge.backoff import Backoff
from bridge.delivery import size_of
from bridge.errors import KafkaUnavailable
from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.delivery import Ledger
    from bridge.events import Record

log = structlog.get_logger(__name__)

ROOM: Final = 10_000
"""Events that wait while Kafka is away; those beyond it are lost to the ledger, counted and told."""
ROOM_BYTES: Final = 32 << 20
"""Bytes of the events that wait, the second bound on them; an event with a large request has up to 150 KB."""
AT_ONCE: Final = 500
"""Events of one write."""
APPEND_DEADLINE: Final = 5.0
"""Seconds that a caller waits for its request to be durable."""
LINGER: Final = 0.005
"""Seconds that an event which nobody waits for may wait for company: a write costs much the same for many."""
FLUSH_DEADLINE: Final = 1.5
"""Seconds that the last events have at a planned stop, where Kafka is there."""


class _Entry:
    """One event on its way."""

    __slots__ = ("landed", "record", "tried")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.tried = False
        """Whether Kafka may have it."""
        self.landed: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Journal:
    """The only writer of this process to the ledger, besides the relays' transactions."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: deque[_Entry] = deque()
        self._writing: list[_Entry] = []
        self._bytes = 0
        """Of all events on their way."""
        self._newest: dict[bytes, _Entry] = {}
        """The last event on its way of each key."""
        self._more = asyncio.Event()
        self._urgent = asyncio.Event()
        """Somebody waits for what is on its way."""
        self._lost = 0
        self.available = True
        """Whether the last write worked."""
        metrics.operation_events_waiting.set_function(lambda: len(self._waiting) + len(self._writing))

    async def append(self, record: Record, *, otherwise: Callable[[], Record]) -> None:
        """Return once the record is durable.

        Where that remains unknown (Kafka may or may not have it), what `otherwise` returns follows it as soon as Kafka
        is back, to take it back.

        Raises:
            KafkaUnavailable: it is not durable, or not known to be; at once where Kafka is known to be away.
        """
        if not self.available:
            raise KafkaUnavailable("Kafka can't be written now, so the request can't be made durable")
        entry = self._add(record)
        if entry is None:
            raise KafkaUnavailable("too many events wait for Kafka already")
        self._urgent.set()
        try:
            async with asyncio.timeout(APPEND_DEADLINE):
                await asyncio.shield(entry.landed)
        except (TimeoutError, asyncio.CancelledError) as error:
            if entry.tried:
                self.note(otherwise())
            else:
                self._waiting.remove(entry)
                self._done(entry)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise KafkaUnavailable("Kafka did not make the request durable in time") from None

    def note(self, record: Record) -> None:
        """Have the record written as soon as Kafka takes it; costs the caller nothing."""
        self._add(record)

    async def settled(self, key: bytes) -> None:
        """Return once every event of that key is in the ledger."""
        entry = self._newest.get(key)
        if entry is not None:
            self._urgent.set()
            await asyncio.shield(entry.landed)

    async def run(self) -> None:
        """Write for ever; when cancelled, write what is left, within a deadline."""
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
        self._more.set()  # the first write is of nothing: it finds the way to Kafka before anybody waits for that
        while True:
            await self._more.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await self._urgent.wait()
            self._more.clear()
            self._urgent.clear()
            await self._write_all()

    async def _write_all(self) -> None:
        """Write until nothing is left, however long Kafka is away."""
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
                reason = "Kafka has been away for too long"
                log.error("operation-events-lost", reason=reason, room=ROOM, bytes=ROOM_BYTES)
            self._lost += 1
            return None
        entry = _Entry(record)
        self._bytes += size
        self._waiting.append(entry)
        self._newest[record.key] = entry
        self._more.set()
        return entry

    def _done(self, entry: _Entry) -> None:
        self._bytes -= size_of(entry.record)
        if not entry.landed.done():
            entry.landed.set_result(None)
        if self._newest.get(entry.record.key) is entry:
            del self._newest[entry.record.key]
