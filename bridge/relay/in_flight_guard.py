"""Keeps events in files until they are published. It does so for events that the server does not send again.

The files are a help, never a hindrance: where one can't be written, read or removed, its events are published all the
same, and `weakness` says that the guarantee is weaker than it could be.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
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
        """What has arrived and is not in Kafka yet, in order, with its file (None: it could not be written)."""
        self._session = ""
        self._next_sequence = 0
        """Of the next event of `_session` that arrives."""
        self.weakness: str | None = None
        """A stable word for what makes the guarantee weaker than it could be here."""

    async def keep(self, batch: Batch, position: Position) -> None:
        """Return when a batch that the server does not send again is on the disk; `position` is the relay's now."""
        if self._store is None or batch.sent_again or not batch.events:
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
        """Return the sequence that the batch's first event will have: batches are published as they arrive."""
        if batch.client_id != self._session:
            self._session, self._next_sequence = batch.client_id, 0
        if batch.client_id == position.client_id:
            self._next_sequence = max(self._next_sequence, position.next_sequence)
        first = self._next_sequence
        self._next_sequence += len(batch.events)
        return first

    @asynccontextmanager
    async def of(self, batch: Batch, position: Position) -> AsyncIterator[None]:
        """Keep the batch on the disk until the body is done with it."""
        if all(kept is not batch for kept, _ in self._kept):
            await self.keep(batch, position)
        yield
        for kept, name in self._kept:
            if kept is batch and name is not None:
                await self._forget(name)
        self._kept = [one for one in self._kept if one[0] is not batch]

    async def left(self) -> AsyncIterator[InFlightBatch]:
        """Yield what an earlier process had in its hands, oldest first; forget each when the next is asked for."""
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
        """Remove a file. One that stays is read again by the next process, which knows what of it is in Kafka."""
        try:
            if self._store is not None:
                await self._store.remove(name)
        except InFlightUnwritable as error:
            self._weaken(error)

    def _weaken(self, error: InFlightUnwritable) -> None:
        if self.weakness is None:
            log.warning(error.code, account=self._account, error=str(error))
        self.weakness = error.code
