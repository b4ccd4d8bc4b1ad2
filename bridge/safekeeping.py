"""What is done for a batch that exists only here, because the server does not acknowledge: it waits in a file.

The file is a help, never a hindrance: where it can't be written, read or removed, the batch is published all the same,
and `weakness` says that the guarantee is weaker than it could be.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from bridge.errors import InFlightUnwritable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.cometd import Batch
    from bridge.delivery import InFlight, InFlightBatch

log = structlog.get_logger(__name__)


class Safekeeping:
    """Of one account; without a file (no `state_dir`) it does nothing."""

    def __init__(self, account: str, file: InFlight | None) -> None:
        self._account = account
        self._file = file
        self.weakness: str | None = None
        """A stable word for what makes the guarantee weaker than it could be here."""

    @asynccontextmanager
    async def of(self, batch: Batch, first_sequence: int) -> AsyncIterator[None]:
        """Keep a batch that the server has forgotten in the file, until the body is done with it."""
        if self._file is None or batch.acknowledgement is not None or not batch.events:
            yield
            return
        events = [(event.channel, bytes(event.data)) for event in batch.events]
        try:
            await self._file.write(batch.client_id, first_sequence, batch.received_at, events)
        except InFlightUnwritable as error:
            self._weaken(error)
            yield
            return
        self.weakness = None
        yield
        await self.forget()

    async def left(self) -> InFlightBatch | None:
        """Return the batch that an earlier process had in its hands, None without one."""
        try:
            return await self._file.read() if self._file is not None else None
        except InFlightUnwritable as error:
            self._weaken(error)
            return None

    async def forget(self) -> None:
        """Remove the file. One that stays is published again by the next process, under the same ids."""
        try:
            if self._file is not None:
                await self._file.remove()
        except InFlightUnwritable as error:
            self._weaken(error)

    def _weaken(self, error: InFlightUnwritable) -> None:
        if self.weakness is None:
            log.warning(error.code, account=self._account, error=str(error))
        self.weakness = error.code
