"""Ends the operations whose acknowledgement does not come."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.operations.correlation import Correlator
    from bridge.operations.view.state import OperationView
    from bridge.operations.view.view import OperationsView


class Timeouts:
    """Of each account only the process that relays it decides: no other one sees its acknowledgements.

    `in_progress` tells of operations whose forwarding is not over, or that are about to end otherwise.
    """

    def __init__(
        self,
        view: OperationsView,
        correlators: Mapping[str, Correlator],
        *,
        timeout: float,
        in_progress: Callable[[OperationView], bool],
        end: Callable[[OperationView], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._correlators = correlators
        self._timeout = timeout
        self._in_progress = in_progress
        self._end = end
        self._clock = clock

    async def run(self) -> None:
        """Look for ever, several times in each time-out: what a crash left behind ends as well."""
        while True:
            await asyncio.sleep(min(1.0, self._timeout / 4))
            self._view.evict()
            for account, correlator in self._correlators.items():
                if correlator.decides(after=self._timeout):
                    self._look(account)

    def _look(self, account: str) -> None:
        now = self._clock()
        for view in self._view.pending(account):
            if self._in_progress(view):
                continue
            forwarded = self._view.forwarded.get(view.reference_id)
            began = view.began if forwarded is None else max(view.began, forwarded.at)
            if now - began >= self._timeout:
                self._end(view)
