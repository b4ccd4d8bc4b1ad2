"""Counts what this process did in each interval of the last minutes, for the charts of the console."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from prometheus_client import Counter

INTERVAL: Final = 5.0
"""Seconds of one interval."""
INTERVALS: Final = 60
"""Number of intervals that are kept: five minutes."""


class Counts(NamedTuple):
    """The counters of this process at one time, or how much they increased in one interval."""

    operations: float
    """Operations that Web Services accepted."""
    acknowledgements: float
    """Acknowledgement events that arrived from CometD."""
    published: float
    """Records that the relays wrote to Kafka."""
    failed: float
    """Operations that were rejected, not delivered or timed out."""


class Interval(NamedTuple):
    """One interval and its counts."""

    end: float
    """The interval's end, in seconds since the epoch."""
    counts: Counts


def read_counts() -> Counts:
    """Return the counters as they are now, with all accounts added up."""
    return Counts(
        operations=_total(metrics.operations, "outcome", {"accepted"}),
        acknowledgements=_total(metrics.events_received, "kind", {"acknowledgement"}),
        published=_total(metrics.events_published),
        failed=_total(metrics.operations, "outcome", {"rejected", "failed", "timed-out"}),
    )


class Rates:
    """The counts of the last intervals. `clock` returns seconds since the epoch."""

    def __init__(self, read: Callable[[], Counts] = read_counts, *, clock: Callable[[], float] = time.time) -> None:
        self._read = read
        self._clock = clock
        self._before = read()
        self._intervals: deque[Interval] = deque(maxlen=INTERVALS)

    @property
    def intervals(self) -> list[Interval]:
        """The last complete intervals, the oldest first."""
        return [*self._intervals]

    async def run(self) -> None:
        """Count until cancelled. With thousands of accounts the addition takes milliseconds, so a thread does it."""
        while True:
            await asyncio.sleep(INTERVAL)
            self.count(await asyncio.to_thread(self._read))

    def count(self, now: Counts) -> None:
        """End an interval. `now` contains the counters at its end."""
        increase = Counts(*(max(0.0, new - old) for new, old in zip(now, self._before, strict=True)))
        self._before = now
        self._intervals.append(Interval(self._clock(), increase))


def _total(counter: Counter, label: str | None = None, values: Collection[str] = ()) -> float:
    """Add up the series of a counter. With `values`, add up only the series whose `label` has one of the values.

    Private part: `Counter._labelnames`, `._lock`, `._metrics` and `._value`. The public `collect` makes objects for
    each series. With 1,000 accounts this was a large part of the work of an idle bridge.
    """
    place = None if label is None else counter._labelnames.index(label)  # noqa: SLF001
    with counter._lock:  # noqa: SLF001
        series: list[tuple[Sequence[str], Any]] = [*counter._metrics.items()]  # noqa: SLF001
    found: float = sum(one._value.get() for labels, one in series if place is None or labels[place] in values)  # noqa: SLF001
    return found
