"""The fleet as this replica sees it: what it owns, and who else there is."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from bridge.delivery import slot_of
from bridge.fleet.membership import FleetMembership, group_of
from bridge.fleet.owned_slot import OwnedSlot
from bridge.fleet.ownership import Ownership
from bridge.fleet.plan import FleetPlan
from bridge.fleet.reachability import Reachability
from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from bridge.delivery import AccountKeys, Slots
    from bridge.fleet.owned_slot import AccountRelay
    from bridge.fleet.user_data import Table
    from bridge.settings import Kafka


class Accounts(NamedTuple):
    """What the fleet needs of the accounts."""

    relays: Mapping[str, AccountRelay]
    """By the account's name."""
    keys: Collection[AccountKeys]
    """To be derived before an account is taken over: that takes 0.1 s for each."""
    reached_at: Callable[[], float]
    """Tells when a session of this replica last brought a reply, in seconds since the epoch."""
    reach: Callable[[], Awaitable[bool]]
    """Asks Web Services anything, and tells whether there was an answer; takes a few seconds at the most."""
    slots: Callable[[Sequence[str], int], Slots]
    """Makes the publishers of these accounts, which share a slot, given how many slots there are."""


class Fleet:
    """Relays the accounts of the slots that the fleet's group gives this replica."""

    def __init__(self, settings: Kafka, replica: str, accounts: Accounts) -> None:
        self._settings = settings
        self._accounts = accounts
        self.table: Table | None = None
        """Who owns which slot, as the newest assignment says; None before the first."""
        plan = FleetPlan(
            replica,
            time.time(),
            owned=lambda: self._ownership.owned,
            able=lambda: self._reachability.reached,
            busy=lambda count: {slot_of(account, count) for account in accounts.relays},
            on_table=self._assigned,
        )
        self._membership = FleetMembership(settings, plan)
        self._ownership = Ownership(self._relays, on_taken=self._membership.rejoin)
        self._reachability = Reachability(accounts.reached_at, accounts.reach, on_change=self._membership.rejoin)
        self._leaving = asyncio.Event()

    async def run(self) -> None:
        """Take part until `leave`, or for ever.

        Raises:
            ExceptionGroup: of a fault of the bridge itself, as the relays raise it.
        """
        keys = [asyncio.ensure_future(one.start("position")) for one in self._accounts.keys]
        async with asyncio.TaskGroup() as group:
            owning = group.create_task(self._ownership.run())
            beside = [group.create_task(self._membership.run()), group.create_task(self._reachability.run())]
            await self._leaving.wait()
            await self._ownership.let_go()  # first: the next owners take over what is committed
            for task in (*beside, owning):
                task.cancel()
        for one in keys:
            one.cancel()
        await asyncio.wait(keys)

    def leave(self) -> None:
        """Let `run` return: let every slot go when its turns under way are committed, then leave the group."""
        self._leaving.set()

    @property
    def missing(self) -> str | None:
        """Why this replica is no member of the fleet; None where it is one."""
        if self._membership.failure is not None:
            return self._membership.failure
        return None if self.table is not None else f"not in the group {group_of(self._settings)} yet"

    def accounts(self) -> dict[int, list[str]]:
        """Return the accounts of each slot, also of those without any; nothing before the first assignment."""
        count = 0 if self.table is None else self.table.slots
        accounts: dict[int, list[str]] = {slot: [] for slot in range(count)}
        for name in self._accounts.relays if count else ():
            accounts[slot_of(name, count)].append(name)
        return accounts

    def _assigned(self, table: Table, slots: frozenset[int]) -> None:
        if self._leaving.is_set():
            return
        self._membership.joined()
        self.table = table
        metrics.fleet_members.set(len(table.members))
        self._ownership.assign(slots, table.slots, table.orphaned)

    def _relays(self, slot: int, count: int) -> OwnedSlot:
        names = [name for name in self._accounts.relays if slot_of(name, count) == slot]
        return OwnedSlot(self._accounts.slots(names, count), [self._accounts.relays[name] for name in names])
