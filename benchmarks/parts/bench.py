"""What all parts share: the servers, how much to measure, where the figures go, and the alternating rounds."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from benchmarks.measuring.results import Results
    from benchmarks.measuring.site import Site

_C = TypeVar("_C")


@dataclass(frozen=True)
class Sizes:
    """How much is measured. Times in seconds."""

    rounds: int
    """Of each candidate, if they fit into the part's budget."""
    warm_up: int
    events: int
    """Of the burst with mixed traffic."""
    uniform_events: int
    single_events: int
    """Of the latencies at a low rate."""
    operations: int
    """On the ledger that a restart reads."""
    calling: float
    """Of each measurement of REST calls."""
    accounts: int
    account_burst: int
    steady: float
    """At the rate of many accounts."""
    idle: float
    """Without events."""


FULL: Final = Sizes(
    rounds=3,
    warm_up=50_000,
    events=100_000,
    uniform_events=50_000,
    single_events=600,
    operations=100_000,
    calling=4.0,
    accounts=200,
    account_burst=60_000,
    steady=5.0,
    idle=4.0,
)
QUICK: Final = Sizes(
    rounds=1,
    warm_up=1_000,
    events=2_000,
    uniform_events=2_000,
    single_events=100,
    operations=500,
    calling=0.5,
    accounts=9,
    account_burst=2_000,
    steady=0.5,
    idle=0.5,
)
"""Shows that everything works. The figures are worth nothing."""


@dataclass
class Bench:
    """One run of some parts."""

    site: Site
    sizes: Sizes
    results: Results
    say: Callable[[str], None]
    until: float = math.inf
    """The end of the running part's budget, by time.monotonic()."""

    async def rounds(self, part: str, candidates: Sequence[_C], measure: Callable[[_C, str], Awaitable[str]]) -> None:
        """Measure each candidate in each round; every round begins with another candidate.

        `measure` gets the candidate and a prefix for its topics, and returns what to print. A round that would probably
        pass the budget is not begun, except the first one.
        """
        began = time.monotonic()
        for number in range(self.sizes.rounds):
            now = time.monotonic()
            if number and now + (now - began) / number > self.until:
                self.say(f"{part}: no round {number + 1}, because it would take more time than there is")
                return
            for place in range(len(candidates)):
                shown = await measure(candidates[(place + number) % len(candidates)], f"{part}-{number}-{place}")
                self.say(f"{part}, round {number + 1}: {shown}")
