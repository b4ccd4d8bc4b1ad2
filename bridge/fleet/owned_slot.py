"""Runs the relays of one slot while this replica owns the slot.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.fleet.relay_tasks import RelayTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bridge.delivery import Slots
    from bridge.fleet.relay_tasks import AccountRelay


class OwnedSlot:
    """The relays of one slot, as `SlotRelays`. `accounts` returns the accounts that the slot has now."""

    def __init__(self, slots: Slots, accounts: Callable[[], Collection[AccountRelay]]) -> None:
        self._tasks = RelayTasks(slots, accounts)

    async def run(self) -> bool:
        """See `SlotRelays.run`. If the slot has no accounts, wait for `stop`."""
        # Another bridge takes over all accounts of a slot, so if one account is fenced, stop all accounts.
        await self._tasks.run(ended=lambda: bool(self._tasks.fenced))
        return bool(self._tasks.fenced)

    def accounts_changed(self) -> None:
        """See `SlotRelays.accounts_changed`."""
        self._tasks.accounts_changed()

    def stop(self) -> None:
        """See `SlotRelays.stop`."""
        self._tasks.stop()
