"""What is compared with what, and what is wanted of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmarks.candidates.bridge import AT_LEAST_ONCE, EXACTLY_ONCE
from benchmarks.candidates.java import JAVA, JAVA_TRANSACTIONS, JAVA_TUNED
from benchmarks.measuring.traffic import MIXED, UNIFORM
from benchmarks.parts import accounts, events, rest, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measuring.results import Quantity, Results
    from benchmarks.parts.bench import Sizes


@dataclass(frozen=True)
class Comparison:
    """A candidate's median, beside another candidate's or by itself, and the limit that it should keep, if any."""

    quantity: Quantity
    candidate: str
    beside: str | None = None
    wanted: Literal["at least", "at most"] | None = None
    limit: float = 0.0

    def outcome(self, results: Results) -> Outcome | None:
        """What came of it; None where one of the two was not measured."""
        measured = results.of(self.quantity, self.candidate)
        if measured is None:
            return None
        if self.beside is None:
            return Outcome(self, measured.median)
        other = results.of(self.quantity, self.beside)
        return None if other is None or other.median == 0 else Outcome(self, measured.median / other.median)


@dataclass(frozen=True)
class Outcome:
    """The ratio of the two medians, or the median where there is nothing beside it."""

    comparison: Comparison
    value: float

    @property
    def kept(self) -> bool:
        """Whether the value is on the right side of the limit."""
        comparison = self.comparison
        if comparison.wanted == "at least":
            return self.value >= comparison.limit
        return comparison.wanted is None or self.value <= comparison.limit

    def __str__(self) -> str:
        comparison = self.comparison
        ratio = "" if comparison.beside is None else f"{self.value:.2f} x {comparison.beside}"
        if comparison.wanted is None:
            return ratio
        wanted = f"wanted {comparison.wanted} {comparison.limit:,g}: {'kept' if self.kept else 'MISSED'}"
        return f"{ratio} ({wanted})" if ratio else wanted


def comparisons(sizes: Sizes) -> Sequence[Comparison]:
    """All comparisons. Those of mixed traffic are the main ones."""
    ours, alo, java, tuned, both = (
        one.name for one in (EXACTLY_ONCE, AT_LEAST_ONCE, JAVA, JAVA_TUNED, JAVA_TRANSACTIONS)
    )
    one, many, fleet = (bridge.name for bridge in accounts.candidates(sizes))
    long_ledger = start.long_ledger(sizes).name
    mixed, uniform = events.throughput(MIXED), events.throughput(UNIFORM)
    return (
        Comparison(mixed, ours, java, "at least", 2.2),
        Comparison(mixed, ours, tuned, "at least", 1.6),
        Comparison(mixed, ours, both),
        Comparison(mixed, alo, java),
        Comparison(events.cpu(MIXED), ours, java, "at most", 0.22),
        Comparison(events.cpu(MIXED), ours, both),
        Comparison(uniform, ours, java),
        Comparison(uniform, ours, tuned),
        Comparison(events.cpu(UNIFORM), ours, java),
        Comparison(events.PEAK, ours, wanted="at most", limit=150),
        Comparison(events.PEAK, ours, java),
        Comparison(events.AT_REST, ours, wanted="at most", limit=75),
        Comparison(events.AT_REST, ours, java),
        Comparison(events.P50, ours, alo, "at most", 1.8),
        Comparison(events.P50, ours, java),
        Comparison(events.P50, ours, both),
        Comparison(events.P99, ours, alo, "at most", 2.0),
        Comparison(events.P99, ours, java),
        Comparison(events.P99, ours, both),
        Comparison(start.RESTART, ours, wanted="at most", limit=1.2),
        Comparison(start.RESTART, ours, java, "at most", 1.5),
        Comparison(start.RESTART, long_ledger, wanted="at most", limit=2.0),
        Comparison(rest.CALLS, rest.THROUGH, wanted="at least", limit=2_000),
        Comparison(rest.ADDED_P50, rest.THROUGH, wanted="at most", limit=1.5),
        Comparison(accounts.P50, many, one, "at most", 3.0),
        Comparison(accounts.P50, fleet, many),
        Comparison(accounts.P99, many, one, "at most", 3.0),
        Comparison(accounts.P99, fleet, many),
        Comparison(accounts.THROUGHPUT, many, one),
        Comparison(accounts.THROUGHPUT, fleet, many),
        Comparison(accounts.START, many, one, "at most", 4.0),
        Comparison(accounts.MEMORY, many, one),
        Comparison(accounts.MEMORY, fleet, many),
    )


def outcomes(results: Results, sizes: Sizes) -> list[Outcome]:
    """What came of all comparisons that were measured."""
    return [outcome for one in comparisons(sizes) if (outcome := one.outcome(results)) is not None]
