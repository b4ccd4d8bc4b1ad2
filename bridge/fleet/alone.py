"""Relays all accounts in one process, without a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.fleet.relay_tasks import RelayTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bridge.delivery import Slots
    from bridge.fleet.relay_tasks import AccountRelay


class Alone:
    """Relays all accounts, and has the same methods as `Fleet`. `accounts` returns the present accounts."""

    def __init__(self, slots: Slots, accounts: Callable[[], Collection[AccountRelay]]) -> None:
        self._accounts = accounts
        self._tasks = RelayTasks(slots, accounts)

    async def run(self, *, disconnect_on_exit: bool) -> None:
        """Relay until `leave`, or until other bridges have taken all accounts over.

        With `disconnect_on_exit` a stop ends the CometD sessions too.
        """
        await self._tasks.run(
            ended=lambda: self._tasks.fenced.issuperset(self._accounts()), disconnect_on_exit=disconnect_on_exit
        )

    def accounts_changed(self) -> None:
        """Start the relays of new accounts."""
        self._tasks.accounts_changed()

    def leave(self) -> None:
        """Make `run` return as soon as the current batches are committed."""
        self._tasks.stop()
