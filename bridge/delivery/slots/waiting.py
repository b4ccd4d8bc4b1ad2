"""The calls of `publish` that wait for a transaction of their slot."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from bridge.delivery.slots.transaction import MOST_BYTES, MOST_RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from bridge.delivery.slots.transaction import Call


class WaitingCalls:
    """A queue of calls. If Kafka has refused records of a call, the call gets its own transaction (`apart`).

    `accounts` are the accounts that the slot has now. Calls of accounts that have left the slot are dropped.
    """

    def __init__(self, accounts: Container[str]) -> None:
        self._accounts = accounts
        self._together: deque[Call] = deque()
        self._apart: deque[Call] = deque()
        self._last_was_apart = False
        self._wake = asyncio.Event()

    def add(self, call: Call) -> None:
        """Add a call for one of the next transactions."""
        self._together.append(call)
        self.wake()

    def wake(self) -> None:
        """Make `until_due` check again whether it may return."""
        self._wake.set()

    def put_back(self, calls: Sequence[Call]) -> None:
        """Put unfinished calls of a transaction back at the front of the queue."""
        for call in reversed(calls):
            if call.account in self._accounts and not call.done.done():
                (self._apart if call.apart else self._together).appendleft(call)
        self._last_was_apart = True  # so the next transaction takes the calls that are not apart

    def put_off(self) -> set[str]:
        """Return the accounts whose call is delayed, because only a person can solve its problem."""
        return {call.account for call in self._apart if call.not_before}

    async def until_due(self, ended: Callable[[], bool]) -> None:
        """Wait until a call can be committed, or until `ended` returns True. Each `wake` causes a call of `ended`."""
        while not self._together and not ended():
            now = asyncio.get_running_loop().time()
            due = min((call.not_before for call in self._apart), default=None)
            if due is not None and due <= now:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(None if due is None else due - now):
                    await self._wake.wait()
            except TimeoutError:
                return

    def take(self) -> list[Call]:
        """Remove and return the calls for the next transaction.

        These are all waiting calls, up to `MOST_RECORDS` and `MOST_BYTES`, or one call that needs its own transaction.
        """
        now = asyncio.get_running_loop().time()
        for call in list(self._apart):
            if call.done.done() or call.account not in self._accounts:
                self._apart.remove(call)
        due = next((call for call in self._apart if call.not_before <= now), None)
        # Alternate between both kinds, so that calls of both kinds make progress.
        if due is not None and (not self._together or not self._last_was_apart):
            self._last_was_apart = True
            self._apart.remove(due)
            return [due]
        self._last_was_apart = False
        taken: list[Call] = []
        records = size = 0
        while self._together:
            call = self._together[0]
            if call.done.done():  # it was cancelled
                self._together.popleft()
                continue
            records, size = records + call.records, size + call.size
            if taken and (records > MOST_RECORDS or size > MOST_BYTES):
                break
            taken.append(self._together.popleft())
        return taken
