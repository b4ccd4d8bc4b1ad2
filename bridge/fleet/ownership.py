"""The slots that this replica owns: taken over when an assignment brings them, let go when an assignment takes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

log = structlog.get_logger(__name__)


class SlotRelays(Protocol):
    """The relays of one slot's accounts, from the takeover until the slot is let go."""

    async def run(self) -> bool:
        """Relay until `stop`, or until another bridge takes the slot over; return whether it was the latter."""
        ...

    def stop(self) -> None:
        """Let `run` return, soon, when the turns under way are committed. The CometD sessions stay alive."""


class Ownership:
    """Runs the relays of the slots that are assigned to this replica.

    In a rebalance every slot is revoked and most come back, so only a new assignment counts: the relays of a slot that
    stays are not touched. A slot that another bridge took is taken over again only when an assignment says so.

    `relays` makes the relays of one slot, given its number and how many slots there are. `on_taken` hears that another
    bridge has taken a slot over.
    """

    def __init__(self, relays: Callable[[int, int], SlotRelays], *, on_taken: Callable[[], None]) -> None:
        self._relays = relays
        self._on_taken = on_taken
        self._count = 0
        self._wanted: frozenset[int] = frozenset()
        self._running: dict[int, tuple[SlotRelays, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()

    @property
    def owned(self) -> Collection[int]:
        """The slots that this replica relays, or is about to take over."""
        return self._wanted

    def assign(self, slots: frozenset[int], count: int, orphaned: Collection[int]) -> None:
        """Take over and let go, until exactly `slots` of `count` are owned; `orphaned` are those without an owner."""
        came, left = slots - self._wanted, self._wanted - slots
        for slot in came:
            metrics.fleet_handovers.labels("orphaned" if slot in orphaned else "rebalanced").inc()
        if came or left:
            log.info("fleet-assignment", owned=len(slots), taken_over=sorted(came), let_go=sorted(left))
        self._wanted, self._count = slots, count
        self._stop_unwanted()
        self._changed.set()

    async def run(self) -> None:
        """Own slots until the cancellation.

        Raises:
            ExceptionGroup: of a fault of the bridge itself, as the relays raise it.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                for slot in sorted(self._wanted - self._running.keys()):
                    relays = self._relays(slot, self._count)
                    self._running[slot] = relays, group.create_task(self._own(slot, relays), name=f"own-slot-{slot}")
                metrics.fleet_slots_owned.set(len(self._running))
                await self._changed.wait()

    async def let_go(self) -> None:
        """Let every slot go, for a planned stop: on return no relay runs."""
        self._wanted = frozenset()
        self._stop_unwanted()
        if self._running:
            await asyncio.wait([task for _, task in self._running.values()])

    def _stop_unwanted(self) -> None:
        for slot in self._running.keys() - self._wanted:
            self._running[slot][0].stop()

    async def _own(self, slot: int, relays: SlotRelays) -> None:
        try:
            taken = await relays.run()
        finally:
            del self._running[slot]
            self._changed.set()
        if taken:
            log.warning("slot-taken", slot=slot, effect="this replica waits for an assignment that gives it the slot")
            metrics.fleet_handovers.labels("fenced").inc()
            self._wanted -= {slot}
            self._on_taken()
