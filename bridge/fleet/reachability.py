"""Decides whether this replica counts as reaching Web Services.

A replica that does not reach Web Services must not keep slots that other replicas could relay. A slot is a partition of
the position topic `bridge-state`, with the accounts that hash to it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

GIVE_UP: Final = 30.0
"""Seconds without any answer after which the replica offers its slots to the other replicas.

The value is longer than a restart of Web Services or of its load balancer. Such an outage affects all replicas, so no
slot should move. After `GIVE_UP` seconds the CometD server has dropped most of this replica's sessions. The next owners
open new sessions, and publish a `gap` event for each lost session.
"""
TICK: Final = 1.0
"""Seconds between two checks."""
EFFECTS: Final = {True: "this replica takes slots again", False: "this replica offers its slots to the others"}


class Reachability:
    """Compares the time of the last answer with `GIVE_UP`. The start counts as an answer.

    `answered_at` returns when Web Services last answered this replica, on the monotonic clock. `on_change` is called
    after `reached` has changed.
    """

    def __init__(self, answered_at: Callable[[], float], *, on_change: Callable[[], None]) -> None:
        self._answered_at = answered_at
        self._on_change = on_change
        self._began_at = time.monotonic()
        self.reached = True
        """Whether Web Services answered in the last `GIVE_UP` seconds."""

    async def run(self) -> None:
        """Compare once in `TICK` seconds until the cancellation."""
        while True:
            await asyncio.sleep(TICK)
            reached = time.monotonic() - max(self._began_at, self._answered_at()) <= GIVE_UP
            if reached != self.reached:
                self.reached = reached
                log.warning("web-services-reached" if reached else "web-services-unreachable", effect=EFFECTS[reached])
                self._on_change()
