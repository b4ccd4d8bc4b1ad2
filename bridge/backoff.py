"""How long to wait before something is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Backoff:
    """Doubling delays with jitter, in seconds: between half of `first`·2ⁿ and all of it, never over `cap`.

    The defaults are Kafka's, and low on purpose: while Kafka is away the CometD server's queue grows, and every second
    between Kafka's return and the next attempt is added to the delay of each event in it.
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
        """Start over: the last attempt worked."""
        self.attempts = 0
