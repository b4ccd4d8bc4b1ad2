"""Compares the bridge with a Java bridge, REST calls through it with straight ones, and many accounts with one."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import uvloop
from rich.console import Console

from benchmarks.measuring.results import Results
from benchmarks.measuring.site import running_site
from benchmarks.parts.accounts import accounts
from benchmarks.parts.bench import FULL, QUICK, Bench, Sizes
from benchmarks.parts.events import events, warm_up
from benchmarks.parts.rest import rest
from benchmarks.parts.start import start
from benchmarks.reporting.comparisons import outcomes
from benchmarks.reporting.machine import machine, versions
from benchmarks.reporting.page import write_between_marks
from benchmarks.reporting.table import for_json, for_markdown, for_terminal, rows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

PAGE: Final = Path(__file__).with_name("RESULTS.md")
DATA: Final = Path(__file__).with_name("results.json")
COMMAND: Final = "make bench"
PLANNED: Final = 720.0
"""Seconds that the whole run may take, with the start of the servers."""
LONGEST: Final = 840.0
"""Seconds after which it is given up: something hangs."""
WIDTH: Final = 150
"""Columns of the table in a log. In a terminal it has the terminal's."""


@dataclass(frozen=True)
class Part:
    """One part of the run. `budget`: the seconds after which it begins no further round."""

    run: Callable[[Bench], Awaitable[None]]
    budget: float


PARTS: Final[Mapping[str, Part]] = {
    "events": Part(events, 310),
    "start": Part(start, 85),
    "rest": Part(rest, 70),
    "accounts": Part(accounts, 205),
}
"""In the order in which they run. A part may use what those before it have left."""


async def run(parts: Sequence[str], sizes: Sizes, results: Results, say: Callable[[str], None]) -> None:
    """Start the servers, warm them up, and run the parts one after the other. At the end nothing is left running.

    Raises:
        TimeoutError: it took longer than `LONGEST`.
    """
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with asyncio.timeout(LONGEST), running_site(sizes.accounts) as site:
        bench = Bench(site, sizes, results, say)
        say("warming the servers up ...")
        await warm_up(bench)
        until = time.monotonic()
        for name in parts:
            until += PARTS[name].budget
            bench.until = until
            await PARTS[name].run(bench)


def report(results: Results, sizes: Sizes, where: str, console: Console, *, write: bool) -> None:
    """Print the table, and write it to RESULTS.md and results.json."""
    measures, found = results.measures(), outcomes(results, sizes)
    if not measures:
        return
    cells = rows(measures, found)
    console.print(for_terminal(cells))
    limited = [one for one in found if one.comparison.wanted]
    if sizes is FULL:
        console.print(f"{sum(1 for one in limited if not one.kept)} of {len(limited)} limits missed")
    if not write:
        return
    today, parts = datetime.now(UTC).date().isoformat(), versions()
    rounds = min(len(one.values) for one in measures)
    with_versions = ", ".join(f"{name} {number}" for name, number in parts.items())
    origin = f"Measured on {today} on {where}. Rounds of each candidate: at least {rounds}."
    text = f"{origin}\n\nWith {with_versions}.\n\n{for_markdown(cells)}"
    write_between_marks(PAGE, COMMAND, text)
    content = for_json(measures, found, {"date": today, "machine": where, "versions": parts})
    DATA.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    console.print(f"written: {PAGE.name}, {DATA.name}")


def main() -> int:
    """Parse the command line, run, report; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="run this part only; may be repeated")
    parser.add_argument(
        "--quick", action="store_true", help="only show that everything works: the figures are worth nothing"
    )
    arguments = parser.parse_args()
    whole = not (arguments.only or arguments.quick)
    sizes, parts = QUICK if arguments.quick else FULL, arguments.only or list(PARTS)
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    results, where = Results(), machine()
    console.print(where)
    try:
        uvloop.run(run(parts, sizes, results, lambda text: console.print(text, markup=False)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("interrupted; everything that was started has ended, and nothing is written")
        return 130
    except Exception as error:  # noqa: BLE001 -- whatever failed, what was measured until then is shown
        console.print(f"failed: {error or type(error).__name__}", markup=False, soft_wrap=True)
        report(results, sizes, where, console, write=False)
        return 1
    report(results, sizes, where, console, write=whole)
    if not whole:
        console.print("with --only or --quick nothing is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
