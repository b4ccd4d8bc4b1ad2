"""How long to wait before Kafka is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubling delays with jitter, in seconds.

    The cap is low on purpose: while Kafka is away the CometD server's queue grows, and every second between Kafka's
    return and the next attempt is added to the delay of each event in it.
    """

    first: float = 0.05
    cap: float = 1.0
    attempts: int = 0

    def next_delay(self) -> float:
        """The delay before the next attempt: between half of and the whole of `first` doubled at each call."""
        ceiling = min(self.cap, self.first * 2.0 ** min(self.attempts, 30))
        self.attempts += 1
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter, not a secret
