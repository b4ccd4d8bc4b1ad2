"""Growing delays between attempts."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Backoff:
    """Doubling delays with jitter, in seconds.

    Delay n is a random time between half of `first`·2ⁿ and all of `first`·2ⁿ. No delay exceeds `cap`. The defaults are
    for attempts to reach Kafka. They are short because events wait in the CometD server's queue until the next attempt.
    """

    first: float = 0.05
    cap: float = 1.0
    jitter: Callable[[], float] = random.random
    attempts: int = 0

    def next_delay(self) -> float:
        """Return the seconds to wait before the next attempt."""
        full = min(self.cap, self.first * 2.0 ** min(self.attempts, 32))
        self.attempts += 1
        return full * (0.5 + 0.5 * self.jitter())

    def reset(self) -> None:
        """Start again with the shortest delay. Call this after an attempt that worked."""
        self.attempts = 0
