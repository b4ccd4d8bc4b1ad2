"""This replica's part of the fleet: it joins the group, and relays the accounts of the slots that it owns."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from bridge.delivery import slot_of
from bridge.fleet.membership import FleetMembership, group_of
from bridge.fleet.ownership import Ownership
from bridge.fleet.plan import FleetPlan
from bridge.fleet.reachability import Reachability
from bridge.fleet.relay_tasks import RelayTasks
from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.delivery import AccountKeys, Slots
    from bridge.fleet.relay_tasks import AccountRelay
    from bridge.fleet.user_data import Table
    from bridge.settings import Kafka


class Accounts(NamedTuple):
    """The accounts of this process, and the functions that the fleet calls for them."""

    relays: Mapping[str, AccountRelay]
    """The relay of each account, by the account's name. Call `Fleet.accounts_changed` when the mapping has changed."""
    keys: Mapping[str, AccountKeys]
    """The keys of all accounts. `Fleet.run` derives the keys in advance, because each key takes about 0.01 s of CPU
    time."""
    answered_at: Callable[[], float]
    """Returns when Web Services last answered this replica, on the monotonic clock."""
    slots: Callable[[int], Slots]
    """A function that returns an object for the publishers of one slot. The function's argument is the number of
    slots."""


class Fleet:
    """Relays the accounts of the slots that the fleet's consumer group assigns to this replica.

    A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it.
    """

    def __init__(self, settings: Kafka, replica: str, accounts: Accounts, *, session_timeout: float) -> None:
        self._settings = settings
        self._accounts = accounts
        self.table: Table | None = None
        """The owner of each slot, from the newest assignment of the group. None before the first assignment."""
        plan = FleetPlan(
            replica,
            time.time(),
            owned=lambda: self._ownership.owned,
            able=lambda: self._reachability.reached,
            busy=lambda count: {slot for slot, names in self._by_slot(count).items() if names},
            on_table=self._assigned,
        )
        self._membership = FleetMembership(settings, plan, session_timeout=session_timeout)
        self._ownership = Ownership(self._relays, on_taken=self._membership.rejoin)
        self._reachability = Reachability(accounts.answered_at, on_change=self._membership.rejoin)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Join the group, and relay the assigned slots until `stop` is called.

        Raises:
            ExceptionGroup: a relay has ended with an error, which is a bug of the bridge. The group contains the error.
        """
        metrics.fleet_members.set(0)
        keys = [asyncio.ensure_future(one.start("position")) for one in self._accounts.keys.values()]
        async with asyncio.TaskGroup() as group:
            owning = group.create_task(self._ownership.run())
            beside = [group.create_task(self._membership.run()), group.create_task(self._reachability.run())]
            await self._stopping.wait()
            # The next owners continue from the committed positions, so let the relays commit before leaving the group.
            await self._ownership.let_go()
            for task in (*beside, owning):
                task.cancel()
        for one in keys:
            one.cancel()
        await asyncio.wait(keys)

    def stop(self) -> None:
        """Make `run` return: every relay commits its current batch and stops. Then the replica leaves the group."""
        self._stopping.set()

    def accounts_changed(self) -> None:
        """Start the relays of new accounts in the slots of this replica."""
        self._ownership.accounts_changed()

    @property
    def missing(self) -> str | None:
        """The reason why this replica is not a member of the fleet's group. None if it is a member."""
        if self._membership.failure is not None:
            return self._membership.failure
        return None if self.table is not None else f"not in the group {group_of(self._settings)} yet"

    def accounts(self) -> dict[int, list[str]]:
        """Return the names of the accounts of each slot, including slots without accounts.

        Before the first assignment the result is empty.
        """
        return self._by_slot(0 if self.table is None else self.table.slots)

    def _by_slot(self, count: int) -> dict[int, list[str]]:
        accounts: dict[int, list[str]] = {slot: [] for slot in range(count)}
        for name in self._accounts.relays if count else ():
            accounts[slot_of(name, count)].append(name)
        return accounts

    def _assigned(self, table: Table, slots: frozenset[int]) -> None:
        if self._stopping.is_set():
            return
        self._membership.joined()
        self.table = table
        metrics.fleet_members.set(len(table.members))
        metrics.fleet_slots.set(table.slots)
        self._ownership.assign(slots, table.slots, table.orphaned)

    def _relays(self, slot: int, count: int) -> RelayTasks:
        def accounts() -> list[AccountRelay]:
            return [one for name, one in self._accounts.relays.items() if slot_of(name, count) == slot]

        return RelayTasks(self._accounts.slots(count), accounts, together=True)
