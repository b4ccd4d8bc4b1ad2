"""The result as a table for people, and as benchmarks/RESULTS.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

from benchmarks.contenders import TUNING
from benchmarks.rounds import KEYS, LATENCY_RATE
from benchmarks.topic import PARTITIONS, SAMPLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.rounds import Load
    from benchmarks.summary import Bar, Summary

COLUMNS: Final = (
    "",
    "events/s",
    "slowest..fastest",
    "CPU µs/event",
    "peak MB",
    "rest MB",
    "ready in s",
    "p50 ms",
    "p99 ms",
)
BAR_COLUMNS: Final = ("exactly-once beside Java", "ratio", "wanted", "", "beside tuned Java")


def cells(one: Summary) -> list[str]:
    """One row of the table."""
    return [
        one.name,
        f"{one.events_per_second:,.0f}",
        f"{one.slowest:,.0f}..{one.fastest:,.0f}",
        f"{one.cpu_us:.1f}",
        f"{one.peak:.0f}",
        f"{one.rest:.0f}",
        f"{one.start:.2f}",
        f"{one.p50_ms:.1f}",
        f"{one.p99_ms:.1f}",
    ]


def bar_cells(bar: Bar, tuned: Bar) -> list[str]:
    """One row of the table of ratios; the last one is that to the tuned Java bridge."""
    return [bar.what, f"{bar.ratio:.2f}", bar.wanted, _outcome(bar), f"{tuned.ratio:.2f} {_outcome(tuned)}"]


def _outcome(bar: Bar) -> str:
    return "passed" if bar.passed else "MISSED"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """For the terminal."""
    result = Table()
    for number, column in enumerate(columns):
        result.add_column(column, justify="right" if number else "left")
    for row in rows:
        result.add_row(*row)
    return result


def heading(bars: Sequence[Bar], tuned: Sequence[Bar], date: str) -> str:
    """The title of RESULTS.md, and which bars are passed: beside the Java bridge, and beside the tuned one."""
    verdict = f"Beside the Java bridge {_verdict(bars)}; beside the tuned one {_verdict(tuned)}."
    return f"# The bridge beside a Java bridge\n\nWritten by `make bench` on {date}. {verdict}\n"


def _verdict(bars: Sequence[Bar]) -> str:
    missed = [bar.what for bar in bars if not bar.passed]
    return f"the bar is missed for {', '.join(missed)}" if missed else "every bar is passed"


def results_tables(summaries: Sequence[Summary], ratio_rows: Sequence[Sequence[str]]) -> str:
    """Both tables, for RESULTS.md."""
    figures = _markdown_table(COLUMNS, [cells(one) for one in summaries])
    return f"{figures}\n\n{_markdown_table(BAR_COLUMNS, ratio_rows)}\n"


def machine_section(machine: str, versions: Mapping[str, str]) -> str:
    """What it ran on and with, for RESULTS.md."""
    parts = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"## Machine\n\n{machine}.\n\n{parts}.\n"


def method(summaries: Sequence[Summary], load: Load) -> str:
    """How it was measured, for RESULTS.md."""
    rounds = min(one.rounds for one in summaries)
    sending = max(one.sending for one in summaries)
    return f"""## Method

- All contenders run in one go on one machine, beside one Kafka broker and one CometD server (both real, on loopback)
  and the measuring process. An unmeasured round warms the servers up; then the contenders take turns, each round in
  another order, {rounds} round(s) each. The table has the medians of the rounds; the latencies are percentiles of all
  rounds' events together.
- Each round starts a new process with topics of its own ({PARTITIONS} partitions), lets it rest, warms it up with
  {load.warm_up:,} events, sends {load.single:,} single events at {LATENCY_RATE:.0f}/s, and then {load.events:,} events
  as fast as the server can, on {KEYS:,} keys, each an acknowledgement of about 270 bytes. The contenders are the
  bottleneck: the server was done with sending after at most {sending:.0%} of a round's time (median of its rounds).
- events/s: from the first send until a `read_committed` consumer could read the last event: the last stable offsets,
  looked at every {SAMPLE * 1000:.0f} ms. Afterwards every event is read back: a round in which one is missing, or there
  twice, fails the benchmark.
- CPU: user and system time of the contender's process, all threads, over those events. Memory: VmHWM at the end of the
  round and VmRSS before its first event; MB are 10^6 bytes. Ready: from the start of the process until it is connected
  and subscribed, and has reached Kafka.
- Latency: from the time at which the server sends an event (`sentAt`) until a `read_committed` consumer in the
  measuring process has it.
- The bridge runs as `bridge run` with its default settings. The Java bridge (`benchmarks/java`) is CometD's client with
  its AckExtension, and Kafka's idempotent producer, acks=all, no transactions; Jackson writes the same records. Both
  libraries do things their way: the client acknowledges a reply while Kafka still writes, so a crash of this Java
  bridge can lose events, and its restart can repeat them.
- The bars hold beside the Java bridge with the defaults of its JVM and its libraries. Three of them matter: the heap
  may take a quarter of the machine, CometD parses with Jetty's JSON, and `linger.ms` is 5. The tuned Java bridge
  (`{" ".join(TUNING)}`) shows what these cost it.
"""


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *("---:" for _ in columns[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, ruler, *rows])
