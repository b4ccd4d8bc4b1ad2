"""Computes the bars of the overview's small charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.observability import INTERVAL, INTERVALS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.observability import Interval

WIDTH: Final = 240
HEIGHT: Final = 48
_STEP: Final = WIDTH / INTERVALS
_GAP: Final = 1.0


class Bar(NamedTuple):
    """A bar of a chart, in the units of its SVG view box."""

    x: float
    y: float
    width: float
    height: float


class Chart(NamedTuple):
    """A chart of the last minutes, the newest interval at the right edge."""

    title: str
    explanation: str
    total: int
    """The sum of the intervals."""
    rate: float
    """The rate of the newest interval, for each second."""
    peak: float
    """The highest rate, for each second."""
    bars: Sequence[Bar]
    troubled: bool
    """Whether the chart counts something bad, and there was some."""


def charts(intervals: Sequence[Interval]) -> list[Chart]:
    """Return the charts of the overview."""
    return [
        _chart(intervals, "Operations", "accepted by Web Services", lambda one: one.counts.operations),
        _chart(intervals, "Acknowledgements", "received over CometD", lambda one: one.counts.acknowledgements),
        _chart(intervals, "Records", "written to Kafka by the relays", lambda one: one.counts.published),
        _chart(
            intervals,
            "Failures",
            "rejected, undelivered or timed out",
            lambda one: one.counts.failed,
            bad=True,
        ),
    ]


def _chart(
    intervals: Sequence[Interval],
    title: str,
    explanation: str,
    value: Callable[[Interval], float],
    *,
    bad: bool = False,
) -> Chart:
    values = [value(one) for one in intervals][-INTERVALS:]
    most = max(values, default=0.0)
    start = WIDTH - _STEP * len(values)
    bars = [
        Bar(round(start + _STEP * place, 2), round(HEIGHT - height, 2), _STEP - _GAP, round(height, 2))
        for place, one in enumerate(values)
        if one and (height := max(2.0, HEIGHT * one / most))
    ]
    newest = values[-1] / INTERVAL if values else 0.0
    total = round(sum(values))
    return Chart(title, explanation, total, newest, most / INTERVAL, bars, troubled=bad and total > 0)
