"""Runs the relays of one slot while this replica owns the slot.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.delivery import Publisher, Slots

log = structlog.get_logger(__name__)

LET_GO_DEADLINE: Final = 6.0
"""Seconds that the relays get to commit their current batches when the replica gives the slot up.

If a batch is not committed in time, the CometD server sends its events to the next owner."""


class AccountRelay(Protocol):
    """One account. The replica relays the account only while it owns the account's slot."""

    name: str

    def take_over(self, publisher: Publisher) -> None:
        """Prepare the next `run`, which takes the account over with `publisher`."""

    async def run(self, *, disconnect_on_exit: bool) -> bool:
        """Relay until `stop`, or until another bridge takes the account over. Return whether another bridge did."""
        ...

    def stop(self) -> None:
        """Make `run` return as soon as the current batch is committed."""

    def let_go(self) -> None:
        """Record that this replica no longer relays the account. Call this after `run`."""


class OwnedSlot:
    """The relays of one slot, as `SlotRelays`. `slots` contains the publishers of exactly `accounts`."""

    def __init__(self, slots: Slots, accounts: Sequence[AccountRelay]) -> None:
        self._slots = slots
        self._accounts = accounts
        self._stop = asyncio.Event()

    async def run(self) -> bool:
        """See `SlotRelays.run`. If the slot has no accounts, wait for `stop`."""
        stopped = asyncio.ensure_future(self._stop.wait())
        relays = [asyncio.ensure_future(self._relay(account)) for account in self._accounts]
        try:
            # Another bridge takes all accounts of a slot over, so if one account is fenced, stop all of them.
            await asyncio.wait([stopped, *relays], return_when=asyncio.FIRST_COMPLETED)
            for account in self._accounts:
                account.stop()
            if relays:
                _, late = await asyncio.wait(relays, timeout=LET_GO_DEADLINE)
                if late:
                    log.warning("stop-deadline-passed", effect="the slot's next owner must publish the current batch")
        finally:
            tasks = [stopped, *relays]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return True in {relay.result() for relay in relays if not relay.cancelled()}

    def stop(self) -> None:
        """See `SlotRelays.stop`."""
        self._stop.set()

    async def _relay(self, account: AccountRelay) -> bool:
        account.take_over(self._slots.publisher(account.name))
        try:
            return await account.run(disconnect_on_exit=False)
        finally:
            account.let_go()
