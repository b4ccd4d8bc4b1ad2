"""Finds out whether this replica reaches Web Services.

A replica that does not reach Web Services must not keep slots that other replicas could relay. A slot is a partition of
the position topic `bridge-state`, with the accounts that hash to it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

QUIET: Final = 7.0
"""Seconds without a reply after which the replica sends a test request to Web Services. A connected CometD session
receives a reply at least every 5 s."""
GIVE_UP: Final = 30.0
"""Seconds without any reply after which the replica offers its slots to the other replicas.

The value is longer than a restart of Web Services or of its load balancer. Such an outage affects all replicas, so no
slot should move. After `GIVE_UP` seconds the CometD server has dropped most of this replica's sessions. The next owners
open new sessions, and publish a `gap` event for each lost session.
"""
TICK: Final = 1.0
"""Seconds between two checks."""


class Reachability:
    """Watches whether Web Services answers.

    `heard_at` returns when a CometD session last received a reply, on the monotonic clock. `ask` sends a request, and
    returns whether a reply came. `on_change` is called after `reached` has changed.
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
        """Whether a reply came in the last `GIVE_UP` seconds."""

    async def run(self) -> None:
        """Watch the replies of Web Services until the cancellation."""
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
