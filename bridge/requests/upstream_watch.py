"""Notices soon that Web Services does not answer, so that requests wait on their topic and not in the bridge."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

QUIET: Final = 6.0
"""Seconds without a reply after which the watch sends a request. A connected CometD session gets a reply every 5 s."""
TICK: Final = 1.0
"""Seconds between two checks."""


class UpstreamWatch:
    """Watches whether Web Services answers.

    `heard_at` returns the time of the last reply to a CometD session, on the monotonic clock. `ask` sends a request,
    and returns whether a reply came.
    """

    def __init__(self, heard_at: Callable[[], float], ask: Callable[[], Awaitable[bool]]) -> None:
        self._heard_at = heard_at
        self._ask = ask
        self._here = asyncio.Event()
        self._here.set()
        self._looking: asyncio.Future[None] | None = None

    @property
    def away(self) -> bool:
        """Whether the last request of this watch got no reply."""
        return not self._here.is_set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            if self.away or time.monotonic() - self._heard_at() > QUIET:
                await self.look()
            await asyncio.sleep(TICK)

    async def look(self) -> None:
        """Send a request to Web Services now. Parallel calls share one request and its result."""
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look())
        await asyncio.shield(self._looking)

    async def returned(self) -> None:
        """Wait until Web Services answers again. Return at once if Web Services is not away."""
        await self._here.wait()

    async def _look(self) -> None:
        try:
            answered = await self._ask()
        finally:
            self._looking = None
        if answered == self.away:
            log.warning("requests-resumed" if answered else "requests-paused", reason="web-services")
        if answered:
            self._here.set()
        else:
            self._here.clear()
