"""Whether this replica reaches Web Services: one that does not must not keep slots that others could relay."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

QUIET: Final = 5.0
"""Seconds without a reply after which Web Services is asked. A connected session brings one at least every 3 s."""
GIVE_UP: Final = 30.0
"""Seconds without any answer after which the replica offers its slots to others.

Longer than Web Services, or a balancer before it, takes to restart: in an outage that all replicas share no slot should
move. Most sessions that this replica had are lost by then: the next owner opens new ones, and gaps tell of it.
"""
TICK: Final = 1.0


class Reachability:
    """Watches the way to Web Services.

    `heard_at` tells when a session last brought a reply, by any clock. `ask` makes a request, and tells whether there
    was an answer. `on_change` hears that `reached` has changed.
    """

    def __init__(
        self, heard_at: Callable[[], float], ask: Callable[[], Awaitable[bool]], *, on_change: Callable[[], None]
    ) -> None:
        self._heard_at = heard_at
        self._ask = ask
        self._on_change = on_change
        self._heard = 0.0
        self._answered_at = time.monotonic()
        self.reached = True
        """Whether there was an answer in the last `GIVE_UP` seconds."""

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await asyncio.sleep(TICK)
            heard, self._heard = self._heard, self._heard_at()
            quiet = time.monotonic() - self._answered_at > QUIET
            if self._heard > heard or (quiet and await self._ask()):
                self._answered_at = time.monotonic()
            reached = time.monotonic() - self._answered_at <= GIVE_UP
            if reached != self.reached:
                self.reached = reached
                log.warning("web-services-reached" if reached else "web-services-unreachable", effect=EFFECTS[reached])
                self._on_change()


EFFECTS: Final = {True: "this replica takes slots again", False: "this replica offers its slots to the others"}
