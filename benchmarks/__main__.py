"""`python -m benchmarks`: runs all contenders, prints the tables, and writes benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop
from rich.console import Console

from benchmarks.contenders import TUNING, Bridge, Java, Site
from benchmarks.machine import machine, versions
from benchmarks.report import (
    BAR_COLUMNS,
    COLUMNS,
    bar_cells,
    cells,
    heading,
    machine_section,
    method,
    results_tables,
    table,
)
from benchmarks.rounds import Load, run_round
from benchmarks.summary import bars, summarize
from tests.real import RealKafka, RealWebServices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.contenders import Contender
    from benchmarks.rounds import Round

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
BUDGET: Final = 345.0
"""Seconds; a round that would probably pass them is not begun."""
EXACTLY_ONCE: Final = Bridge("exactly-once")
JAVA: Final = Java("Java bridge")
TUNED: Final = Java("Java bridge, tuned", TUNING)
CONTENDERS: Final[Sequence[Contender]] = (EXACTLY_ONCE, Bridge("at-least-once"), JAVA, TUNED)
WIDTH: Final = 120
"""Columns, at least: in a log the tables must not be cut."""
WARM_UP: Final = Load(warm_up=50_000, events=100_000, single=200)


async def run(load: Load, rounds: int, console: Console) -> Mapping[str, Sequence[Round]]:
    """Run all contenders in turn; return the rounds of each, by its name."""
    results: dict[str, list[Round]] = {contender.name: [] for contender in CONTENDERS}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as directory:
        async with RealKafka() as kafka, RealWebServices() as web_services:
            site = Site(kafka, web_services, Path(directory))
            console.print("warming the servers up ...")
            await run_round(EXACTLY_ONCE, site, "warm-up", WARM_UP)
            for number in range(rounds):
                if number and (time.monotonic() - began) * (number + 1) / number > BUDGET:
                    console.print(f"no more rounds: they would take more than {BUDGET:.0f} s")
                    break
                for place in range(len(CONTENDERS)):
                    contender = CONTENDERS[(place + number) % len(CONTENDERS)]
                    result = await run_round(contender, site, f"bench-{number}-{place}", load)
                    results[contender.name].append(result)
                    burst = result.burst
                    console.print(
                        f"round {number + 1}: {contender.name}: "
                        f"{burst.events_per_second:,.0f} events/s, {burst.cpu * 1e6:.1f} µs an event"
                    )
    return results


def main() -> None:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each contender (default: 3)")
    parser.add_argument("--events", type=int, default=100_000, help="of each round (default: 100,000)")
    parser.add_argument("--no-write", action="store_true", help="leave benchmarks/RESULTS.md as it is")
    arguments = parser.parse_args()
    load = Load(warm_up=50_000, events=arguments.events, single=1_000)
    console = Console(width=max(Console().width, WIDTH))
    where = machine()
    console.print(where)
    results = uvloop.run(run(load, arguments.rounds, console))
    summaries = [summarize(name, rounds) for name, rounds in results.items()]
    by_name = {one.name: one for one in summaries}
    ratios = bars(by_name[EXACTLY_ONCE.name], by_name[JAVA.name])
    tuned = bars(by_name[EXACTLY_ONCE.name], by_name[TUNED.name])
    ratio_rows = [bar_cells(bar, other) for bar, other in zip(ratios, tuned, strict=True)]
    console.print(table(COLUMNS, [cells(one) for one in summaries]))
    console.print(table(BAR_COLUMNS, ratio_rows))
    if not arguments.no_write:
        today = datetime.now(UTC).date().isoformat()
        tables = results_tables(summaries, ratio_rows)
        parts = [heading(ratios, tuned, today), tables, machine_section(where, versions()), method(summaries, load)]
        RESULTS.write_text("\n".join(parts))
        console.print(f"written: {RESULTS.name}")


if __name__ == "__main__":
    main()
