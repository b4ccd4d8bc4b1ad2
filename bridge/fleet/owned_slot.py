"""One slot while this replica owns it: the relays of its accounts, and their publishers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.delivery import Publisher, Slots

log = structlog.get_logger(__name__)

LET_GO_DEADLINE: Final = 6.0
"""Seconds that the turns under way have to be committed when the slot is let go. What is not is the next owner's."""


class AccountRelay(Protocol):
    """One account: relayed while this replica owns the account's slot, standing by otherwise."""

    name: str

    def take_over(self, publisher: Publisher) -> None:
        """Have the next `run` take the account over, by `publisher`."""

    async def run(self, *, disconnect_on_exit: bool) -> bool:
        """Relay until `stop`, or until another bridge takes the account over; return whether it was the latter."""
        ...

    def stop(self) -> None:
        """Let `run` return when the turn under way is committed."""

    def let_go(self) -> None:
        """Stand by, after `run`."""


class OwnedSlot:
    """The `SlotRelays` of one slot. `slots` has the publishers of `accounts`, and of no other account."""

    def __init__(self, slots: Slots, accounts: Sequence[AccountRelay]) -> None:
        self._slots = slots
        self._accounts = accounts
        self._stop = asyncio.Event()

    async def run(self) -> bool:
        """See `SlotRelays.run`. A slot without accounts is owned all the same."""
        stopped = asyncio.ensure_future(self._stop.wait())
        relays = [asyncio.ensure_future(self._relay(account)) for account in self._accounts]
        try:
            # Another bridge takes a whole slot over, so one account that is fenced tells of them all.
            await asyncio.wait([stopped, *relays], return_when=asyncio.FIRST_COMPLETED)
            for account in self._accounts:
                account.stop()
            if relays:
                _, late = await asyncio.wait(relays, timeout=LET_GO_DEADLINE)
                if late:
                    log.warning("stop-deadline-passed", effect="the batch under way is left to the next owner")
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
