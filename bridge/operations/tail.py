"""Keeps the view up with the ledger: what was before the start, and what other replicas write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from bridge.delivery import Backoff
from bridge.errors import RegistryUnavailable
from bridge.operations.state import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery import Ledger
    from bridge.events import Operation
    from bridge.operations.records import OperationRecords
    from bridge.operations.state import OperationView
    from bridge.operations.view import OperationsView

log = structlog.get_logger(__name__)

PATIENCE: Final = 5.0
"""Seconds between two attempts to get a schema that the ledger's events need, at the most."""


class _Request(msgspec.Struct, rename="camel"):
    """What the view reads of an operation's request."""

    application_id: int | None = None
    campaign_name: str | None = None
    phone_number: str | None = None


_decode_request: Final = msgspec.json.Decoder(_Request).decode
UNREADABLE: Final = (ValueError, RecursionError)
"""What reading may raise: not of its types (msgspec's errors are ValueErrors), not UTF-8, no time; nested too deep."""


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
        self.loaded = asyncio.Event()
        """Set once the view holds what the ledger had at the start."""

    async def run(self) -> None:
        """Follow for ever."""
        self._view.loading = True
        await self._ledger.follow(self._take, self._caught_up)

    async def _take(self, values: Sequence[bytes]) -> None:
        unreadable = 0
        for value in values:
            try:
                event = await self._read(value)
            except UNREADABLE:
                unreadable += 1
                continue
            known = self._view.get(event.reference_id) is not None
            view = self._view.apply(event)
            if view is not None and view.pending and not known:
                self._learnt(view)
        if unreadable:
            log.warning("operation-events-unreadable", events=unreadable)

    async def _read(self, value: bytes) -> Operation:
        """Return the event, whoever wrote it; a schema that can't be had now is waited for.

        Raises:
            ValueError, RecursionError: it is none that the bridge could have written.
        """
        backoff = Backoff(cap=PATIENCE)
        while True:
            try:
                event = await self._records.read(value)
            except RegistryUnavailable as error:
                if backoff.attempts == 0:
                    log.warning("operation-events-held", reason=str(error))
                await asyncio.sleep(backoff.next_delay())
            else:
                _decode_request(event.request)
                seconds(event.at)
                seconds(event.received_at)
                return event

    def _caught_up(self) -> None:
        self._view.sort()
        log.info("operations-loaded", operations=len(self._view))
        self.loaded.set()
