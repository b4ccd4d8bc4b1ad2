"""How long to wait before a session or a login is opened anew: pure rules, with injected clock and jitter."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from bridge.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

LIVED: Final = 60.0
"""Seconds that a session or a login must have lived before the next one may again be opened at once."""
SHORT_LIVES: Final = 5
"""In a row: a restart of the server, or of one of two behind a balancer, may end a young login a few times."""


class RenewalGuard:
    """Limits the rate at which something is opened anew (a session, a login), also when opening it succeeds.

    The first renewal is free. Those that follow wait by backoff until what was opened has lived for a minute: an
    upstream that takes every handshake and refuses every poll got 2,000 handshakes out of a naive client
    (robertmrk/aiocometd#1), and a balancer that isn't sticky makes every login end at the next request.
    """

    def __init__(self, *, cap: float, clock: Callable[[], float], jitter: Callable[[], float] = random.random) -> None:
        self._backoff = Backoff(first=0.25, cap=cap, jitter=jitter)
        self._clock = clock
        self._opened_at: float | None = None
        self._free = True
        self._short_lives = 0

    def delay(self) -> float:
        """Return the seconds to wait before the renewal that is due now."""
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
        """Note that a new life begins now."""
        self._opened_at = self._clock()

    @property
    def dies_young(self) -> bool:
        """Whether what was opened ended early several times in a row, and has not lived for a minute since."""
        return self._short_lives >= SHORT_LIVES and not self._lived()

    def _lived(self) -> bool:
        return self._opened_at is not None and self._clock() - self._opened_at >= LIVED
