"""The pause before a new session or a new login."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from bridge.pacing import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

LIVED: Final = 60.0
"""Seconds. After a session or login that lasted this long, the next one is opened at once."""
SHORT_LIVES: Final = 5
"""Number of successive short-lived logins that count as a fault. A restart of the servers ends fewer logins early."""


class RenewalGuard:
    """Limits the rate of new sessions or logins, even if each attempt succeeds.

    The first renewal needs no delay. Later renewals have growing delays until a session or login has lasted a minute.
    Without the delays, a server that accepts every handshake but refuses every poll would get thousands of handshakes
    (robertmrk/aiocometd#1). A balancer that isn't sticky would cause a login for every request.
    """

    def __init__(self, *, cap: float, clock: Callable[[], float], jitter: Callable[[], float] = random.random) -> None:
        self._backoff = Backoff(first=0.25, cap=cap, jitter=jitter)
        self._clock = clock
        self._opened_at: float | None = None
        self._free = True
        self._short_lives = 0

    def delay(self) -> float:
        """Return the seconds to wait before the next renewal."""
        if self._lived():
            self._backoff.reset()
            self._free = True
            self._short_lives = 0
        elif self._opened_at is not None:
            self._short_lives += 1
        self._opened_at = None
        if self._free:
            self._free = False
            return 0.0
        return self._backoff.next_delay()

    def opened(self) -> None:
        """Record that a new session or login begins now."""
        self._opened_at = self._clock()

    @property
    def dies_young(self) -> bool:
        """Whether each of the last `SHORT_LIVES` sessions or logins ended within a minute."""
        return self._short_lives >= SHORT_LIVES and not self._lived()

    def _lived(self) -> bool:
        return self._opened_at is not None and self._clock() - self._opened_at >= LIVED
