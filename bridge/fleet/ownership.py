"""Starts and stops the relays of slots, as the assignments of the fleet's consumer group demand.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

log = structlog.get_logger(__name__)


class SlotRelays(Protocol):
    """The relays of the accounts of one slot, from the takeover of the slot until the replica gives the slot up."""

    async def run(self) -> bool:
        """Relay until `stop`, or until another bridge takes the slot over. Return whether another bridge did."""
        ...

    def accounts_changed(self) -> None:
        """Start the relays of new accounts."""

    def stop(self) -> None:
        """Make `run` return as soon as the current batches are committed. The CometD sessions stay alive."""


class Ownership:
    """Runs the relays of the slots that are assigned to this replica.

    In a rebalance Kafka revokes all slots, and usually assigns most of them to the same replica again. So a revocation
    stops no relay. The relays of a slot stop only when a new assignment does not contain the slot. If another bridge
    has taken a slot over, this replica takes the slot back only after a new assignment of the slot.

    `relays` makes the relays of one slot. The arguments of `relays` are the slot's number and the number of slots.
    `on_taken` is called after another bridge has taken a slot over.
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
        """The slots that this replica relays, or will take over next."""
        return self._wanted

    def assign(self, slots: frozenset[int], count: int, orphaned: Collection[int]) -> None:
        """Set the slots that this replica owns. `run` takes new slots over, and the relays of all other slots stop.

        `count` is the number of slots of the fleet. `orphaned` contains the slots that no replica owned before.
        """
        came, left = slots - self._wanted, self._wanted - slots
        for slot in came:
            metrics.fleet_handovers.labels("orphaned" if slot in orphaned else "rebalanced").inc()
        if came or left:
            log.info("fleet-assignment", owned=len(slots), taken_over=sorted(came), let_go=sorted(left))
        self._wanted, self._count = slots, count
        self._stop_unwanted()
        self._changed.set()

    async def run(self) -> None:
        """Run the relays of the assigned slots until the cancellation.

        Raises:
            ExceptionGroup: a relay has ended with an error, which is a bug of the bridge. The group contains the error.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                for slot in sorted(self._wanted - self._running.keys()):
                    relays = self._relays(slot, self._count)
                    self._running[slot] = relays, group.create_task(self._own(slot, relays), name=f"own-slot-{slot}")
                metrics.fleet_slots_owned.set(len(self._running))
                await self._changed.wait()

    def accounts_changed(self) -> None:
        """Start the relays of new accounts in the slots of this replica."""
        for relays, _ in self._running.values():
            relays.accounts_changed()

    async def let_go(self) -> None:
        """Give every slot up, for a planned stop. Return when no relay runs any more."""
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
            log.warning(
                "slot-taken", slot=slot, effect="this replica relays the slot again only after a new assignment"
            )
            metrics.fleet_handovers.labels("fenced").inc()
            self._wanted -= {slot}
            self._on_taken()
