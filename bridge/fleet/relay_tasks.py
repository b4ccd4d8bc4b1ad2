"""The running relays of some accounts. Accounts may be added and removed while the other accounts are relayed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bridge.delivery import Slots

log = structlog.get_logger(__name__)

STOP_DEADLINE: Final = 6.0
"""Seconds that the relays get to commit their current batches when they are stopped.

If a batch is not committed in time, the CometD server sends its events to the next process that polls the session."""


class AccountRelay(Protocol):
    """One account. In a fleet, a replica relays the account only while it owns the account's slot."""

    name: str

    def take_over(self, slots: Slots) -> None:
        """Set the slots for the next `run`, which takes the account over with a publisher from `slots`."""

    async def run(self, *, disconnect_on_exit: bool) -> bool:
        """Relay until `stop`, or until another bridge takes the account over. Return whether it was taken over."""
        ...

    def stop(self) -> None:
        """Make `run` return as soon as the current batch is committed."""

    def let_go(self) -> None:
        """Record that this process no longer relays the account. Call this method after `run`."""


class RelayTasks:
    """Runs one task for each account in `accounts()`, with a publisher of `slots`.

    `together` means that the accounts belong to one slot. Another bridge takes over all accounts of a slot, so `run`
    ends when the first account is taken over. Without `together`, `run` ends when all accounts are taken over.

    The task of a removed account is not cancelled: the relay itself ends when its account is removed.
    """

    def __init__(self, slots: Slots, accounts: Callable[[], Collection[AccountRelay]], *, together: bool) -> None:
        self._slots = slots
        self._accounts = accounts
        self._together = together
        self._tasks: dict[AccountRelay, asyncio.Task[bool]] = {}
        self._stopping = False
        self._changed = asyncio.Event()
        self._fenced: set[AccountRelay] = set()
        """The accounts that another bridge has taken over."""

    def accounts_changed(self) -> None:
        """Make `run` start the relays of new accounts."""
        self._changed.set()

    def stop(self) -> None:
        """Make `run` return as soon as the current batches are committed."""
        self._stopping = True
        self._changed.set()

    async def run(self, *, disconnect_on_exit: bool = False) -> bool:
        """Relay until `stop`, or until other bridges have taken the accounts over. Return whether they have.

        Without accounts, the relays of one slot wait for `stop` or for the first account. With `disconnect_on_exit` a
        stop ends the CometD sessions too. An error of a relay, which is a bug of the bridge, is raised.
        """
        try:
            while not self._stopping and not self._taken():
                self._changed.clear()
                self._start_new(disconnect_on_exit=disconnect_on_exit)
                changed = asyncio.ensure_future(self._changed.wait())
                try:
                    await asyncio.wait([changed, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                self._collect()
            for account in self._tasks:
                account.stop()
            if self._tasks:
                _, late = await asyncio.wait(self._tasks.values(), timeout=STOP_DEADLINE)
                if late:
                    log.warning("stop-deadline-passed", effect="the next process must publish the current batch")
        finally:
            for task in self._tasks.values():
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks.values())
        self._collect()
        return self._taken()

    def _taken(self) -> bool:
        return bool(self._fenced) if self._together else self._fenced.issuperset(self._accounts())

    def _start_new(self, *, disconnect_on_exit: bool) -> None:
        new = [one for one in self._accounts() if one not in self._tasks and one not in self._fenced]
        for account in new:  # all accounts join their slots before any slot starts a takeover
            account.take_over(self._slots)
        for account in new:
            relay = self._relay(account, disconnect_on_exit=disconnect_on_exit)
            self._tasks[account] = asyncio.create_task(relay, name=f"relay-{account.name}")

    async def _relay(self, account: AccountRelay, *, disconnect_on_exit: bool) -> bool:
        try:
            return await account.run(disconnect_on_exit=disconnect_on_exit)
        finally:
            account.let_go()

    def _collect(self) -> None:
        """Forget the tasks that have ended."""
        for account, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[account]
                if not task.cancelled() and task.result():
                    self._fenced.add(account)
