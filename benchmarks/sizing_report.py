"""The tables of docs/sizing.md, between two marks; the text around them is written by hand."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from benchmarks.reporting.page import write_between_marks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.sizing import Flow, Outage

COMMAND: Final = "python -m benchmarks.sizing"


def write(
    page: Path, flows: Sequence[Flow], outages: Sequence[Outage], *, machine: str, seconds: float, date: str
) -> None:
    """Replace what stands between the page's marks.

    Raises:
        ValueError: the page has no marks.
    """
    origin = (
        f"Measured on {date}, {seconds:g} s for each rate, on a machine that the bridge shared with a Kafka broker, a "
        f"CometD server and the measuring process: {machine}."
    )
    parts = [
        origin,
        _flows([one for one in flows if one.compression == "none" and one.accounts == 1]),
        "Several accounts in one process. The rate is the sum of all accounts:",
        _accounts([one for one in flows if one.compression == "none"]),
        "On the disk of one replica, for each event:",
        _disk([one for one in flows if one.accounts == 1 and one.rate]),
        "Kafka hung while events arrived, and then recovered:",
        _outages(outages),
    ]
    write_between_marks(page, COMMAND, "\n\n".join(parts))


def _flows(flows: Sequence[Flow]) -> str:
    columns = ["events/s", "CPU, % of one core", "memory, MB", "delay p50, ms", "delay p99, ms"]
    return _table(columns, [[f"{one.rate:,}", f"{one.cpu:.1f}", f"{one.memory:.0f}", *_delays(one)] for one in flows])


def _accounts(flows: Sequence[Flow]) -> str:
    columns = ["accounts", "events/s", "CPU, % of one core", "memory, MB", "delay p50, ms", "delay p99, ms"]
    chosen = [one for one in flows if one.rate in {0, max(two.rate for two in flows if two.accounts > 1)}]
    ordered = sorted(chosen, key=lambda one: (one.rate, one.accounts))
    rows = [
        [str(one.accounts), f"{one.rate:,}", f"{one.cpu:.1f}", f"{one.memory:.0f}", *_delays(one)] for one in ordered
    ]
    return _table(columns, rows)


def _disk(flows: Sequence[Flow]) -> str:
    columns = ["events/s", "compression", "bytes on its topic", "bytes on `bridge-state`, before compaction"]
    rows = [
        [f"{one.rate:,}", one.compression, f"{one.event_bytes:,.0f}", f"{one.position_bytes:,.0f}"] for one in flows
    ]
    return _table(columns, rows)


def _outages(outages: Sequence[Outage]) -> str:
    columns = ["events queued", "server's heap, bytes an event", "drained in, s", "bridge before, MB", "its peak, MB"]
    rows = [
        [
            f"{one.events:,}",
            f"{one.server_bytes:,.0f}",
            f"{one.drained:.1f}",
            f"{one.memory:.0f}",
            f"{one.peak:.0f}",
        ]
        for one in outages
    ]
    return _table(columns, rows)


def _delays(one: Flow) -> list[str]:
    if len(one.latencies) < 2:
        return ["", ""]
    cuts = statistics.quantiles(one.latencies, n=100, method="inclusive")
    return [f"{cuts[49]:.1f}", f"{cuts[98]:.1f}"]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruler = ["---:" for _ in columns]
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, ruler, *rows])
