"""Finds out whether Web Services answers: from the replies to the CometD sessions, and by separate requests."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.cometd import HttpSession

PATH: Final = "/api/v2/version"
TIMEOUT: Final = 3.0
BALANCER_FAILURES: Final = frozenset({502, 503, 504})
"""HTTP statuses by which a balancer or proxy reports that it can't reach Web Services."""
QUIET: Final = 6.0
"""Seconds without an answer after which the watch sends a request. A connected session gets a reply every 5 s."""
TICK: Final = 1.0
"""Seconds between two checks."""


async def answers(http: HttpSession) -> bool:
    """Send a request to Web Services, and return within 3 s whether any answer came, even a refusal.

    The request has a separate HTTP session, because its answer may set cookies that an account's session must not get.
    """
    try:
        reply = await http.request("GET", PATH, timeout=TIMEOUT)
    except ExchangeFailed:
        return False
    return reply.status not in BALANCER_FAILURES


class UpstreamWatch:
    """Watches whether Web Services answers.

    `heard_at` returns the time of the last reply to a CometD session, on the monotonic clock. `ask` sends a request,
    and returns whether an answer came.
    """

    def __init__(self, heard_at: Callable[[], float], ask: Callable[[], Awaitable[bool]]) -> None:
        self._heard_at = heard_at
        self._ask = ask
        self._asked_at = float("-inf")
        """When the watch last sent a request that was answered."""
        self._here = asyncio.Event()
        self._here.set()
        self._looking: asyncio.Future[None] | None = None

    @property
    def answered_at(self) -> float:
        """When Web Services last answered, on the monotonic clock. 0 or minus infinity if it has never answered."""
        return max(self._heard_at(), self._asked_at)

    @property
    def away(self) -> bool:
        """Whether the last request of this watch got no answer."""
        return not self._here.is_set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            if self.away or time.monotonic() - self.answered_at > QUIET:
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
        if answered:
            self._asked_at = time.monotonic()
            self._here.set()
        else:
            self._here.clear()
