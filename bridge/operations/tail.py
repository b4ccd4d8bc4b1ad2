"""Keeps the view up with the ledger: what was before the start, and what other replicas write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from bridge.events import Operation
from bridge.operations.state import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery import Ledger
    from bridge.operations.state import OperationView
    from bridge.operations.view import OperationsView

log = structlog.get_logger(__name__)

_decode: Final = msgspec.json.Decoder(Operation).decode


class _Request(msgspec.Struct, rename="camel"):
    """What the view reads of an operation's request."""

    application_id: int | None = None
    campaign_name: str | None = None
    phone_number: str | None = None


_decode_request: Final = msgspec.json.Decoder(_Request).decode
UNREADABLE: Final = (ValueError, RecursionError)
"""What reading may raise: not of its types (msgspec's errors are ValueErrors), not UTF-8, no time; nested too deep."""


def _read(value: bytes) -> Operation:
    """Read an event, whoever wrote it.

    Raises:
        ValueError, RecursionError: it is none that the bridge could have written.
    """
    event = _decode(value)
    _decode_request(event.request)
    seconds(event.at)
    seconds(event.received_at)
    return event


class Tail:
    """`learnt` hears of each operation that was not pending here before and is now."""

    def __init__(self, ledger: Ledger, view: OperationsView, learnt: Callable[[OperationView], None]) -> None:
        self._ledger = ledger
        self._view = view
        self._learnt = learnt
        self.loaded = asyncio.Event()
        """Set once the view holds what the ledger had at the start."""

    async def run(self) -> None:
        """Follow for ever."""
        self._view.loading = True
        await self._ledger.follow(self._take, self._caught_up)

    def _take(self, values: Sequence[bytes]) -> None:
        unreadable = 0
        for value in values:
            try:
                event = _read(value)
            except UNREADABLE:
                unreadable += 1
                continue
            known = self._view.get(event.reference_id) is not None
            view = self._view.apply(event)
            if view is not None and view.pending and not known:
                self._learnt(view)
        if unreadable:
            log.warning("operation-events-unreadable", events=unreadable)

    def _caught_up(self) -> None:
        self._view.sort()
        log.info("operations-loaded", operations=len(self._view))
        self.loaded.set()
