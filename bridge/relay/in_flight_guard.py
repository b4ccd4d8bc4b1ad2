"""Saves events to files until they are published, if the server would not send these events again.

If a file can't be written, read or removed, the bridge still publishes the events from memory. `weakness` has the code
of the error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from bridge.errors import InFlightUnwritable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.cometd import Batch
    from bridge.delivery import Position
    from bridge.relay.in_flight import InFlight, InFlightBatch

log = structlog.get_logger(__name__)


class InFlightGuard:
    """Saves one account's batches to disk until they are published. Without a `state_dir` it does nothing."""

    def __init__(self, account: str, store: InFlight | None) -> None:
        self._account = account
        self._store = store
        self._kept: list[tuple[Batch, str | None]] = []
        """Batches that are not in Kafka yet, in order, with the file name (None if the file could not be written)."""
        self._session = ""
        self._next_sequence = 0
        """The sequence of the next event that arrives in `_session`."""
        self.weakness: str | None = None
        """The code of the newest error of the files, None after a write that worked."""

    async def keep(self, batch: Batch, position: Position) -> None:
        """Write the batch to disk, unless it is there already or the server sends it again.

        `position` is the relay's current position.
        """
        if self._store is None or batch.sent_again or not batch.events or any(kept is batch for kept, _ in self._kept):
            return
        first = self._count(batch, position)
        events = [(event.channel, bytes(event.data)) for event in batch.events]
        name = None
        try:
            name = await self._store.write(batch.client_id, first, batch.received_at, events)
        except InFlightUnwritable as error:
            self._weaken(error)
        else:
            self.weakness = None
        self._kept.append((batch, name))

    def _count(self, batch: Batch, position: Position) -> int:
        """Return the sequence of the batch's first event. Batches are published in the order of their arrival."""
        if batch.client_id != self._session:
            self._session, self._next_sequence = batch.client_id, 0
        if batch.client_id == position.client_id:
            self._next_sequence = max(self._next_sequence, position.next_sequence)
        first = self._next_sequence
        self._next_sequence += len(batch.events)
        return first

    async def published(self, batch: Batch) -> None:
        """Delete the batch's file, because Kafka has the batch."""
        if not self._kept:
            return
        for kept, name in self._kept:
            if kept is batch and name is not None:
                await self._forget(name)
        self._kept = [one for one in self._kept if one[0] is not batch]

    async def left(self) -> AsyncIterator[InFlightBatch]:
        """Yield the batches that an earlier process left, oldest first.

        When the caller asks for the next batch, delete the file of the last one.
        """
        if self._store is None:
            return
        try:
            names = await self._store.names()
        except InFlightUnwritable as error:
            self._weaken(error)
            return
        for name in names:
            try:
                batch = await self._store.read(name)
            except InFlightUnwritable as error:
                self._weaken(error)
                continue
            if batch is not None:
                yield batch
                await self._forget(name)

    async def _forget(self, name: str) -> None:
        """Delete a file. If that fails, the next process reads the file again and skips the events that Kafka has."""
        try:
            if self._store is not None:
                await self._store.remove(name)
        except InFlightUnwritable as error:
            self._weaken(error)

    def _weaken(self, error: InFlightUnwritable) -> None:
        if self.weakness is None:
            log.warning(error.code, account=self._account, error=str(error))
        self.weakness = error.code
