"""From rounds to figures: medians, pooled latencies, and the bar that they have to pass."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rounds import Round


@dataclass(frozen=True)
class Summary:
    """One contender's figures: medians of its rounds; the latencies are percentiles of all rounds' events together."""

    name: str
    rounds: int
    events_per_second: float
    slowest: float
    fastest: float
    cpu_us: float
    """Microseconds of processor time for an event."""
    peak: float
    """MB."""
    rest: float
    """MB."""
    start: float
    """Seconds."""
    p50_ms: float
    p99_ms: float
    sending: float
    """See `Burst.sending`."""


@dataclass(frozen=True)
class Bar:
    """One requirement on a ratio of the bridge's figure to the Java bridge's."""

    what: str
    ratio: float
    limit: float
    at_least: bool

    @property
    def passed(self) -> bool:
        """Whether the ratio is on the right side of the limit."""
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit

    @property
    def wanted(self) -> str:
        """The requirement, for people."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:.2f}"


def summarize(name: str, rounds: Sequence[Round]) -> Summary:
    """Condense the rounds of one contender, one at least."""
    latencies = sorted(seconds for one in rounds for seconds in one.latencies)
    speeds = [one.burst.events_per_second for one in rounds]
    return Summary(
        name=name,
        rounds=len(rounds),
        events_per_second=statistics.median(speeds),
        slowest=min(speeds),
        fastest=max(speeds),
        cpu_us=statistics.median(one.burst.cpu for one in rounds) * 1e6,
        peak=statistics.median(one.peak for one in rounds),
        rest=statistics.median(one.rest for one in rounds),
        start=statistics.median(one.start for one in rounds),
        p50_ms=percentile(latencies, 50) * 1e3,
        p99_ms=percentile(latencies, 99) * 1e3,
        sending=statistics.median(one.burst.sending for one in rounds),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values, in ascending order, do not exceed (nearest rank)."""
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1]


def bars(bridge: Summary, java: Summary) -> list[Bar]:
    """What exactly-once delivery has to reach beside the Java bridge, which gives no such guarantee."""
    return [
        Bar("throughput", bridge.events_per_second / java.events_per_second, 2.0, at_least=True),
        Bar("CPU per event", bridge.cpu_us / java.cpu_us, 1 / 3, at_least=False),
        Bar("peak memory", bridge.peak / java.peak, 1 / 4, at_least=False),
        Bar("latency p50", bridge.p50_ms / java.p50_ms, 1.0, at_least=False),
    ]
