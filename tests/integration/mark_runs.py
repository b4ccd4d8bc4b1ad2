"""Runs of `bridge mark` as a process, and the lists and results that they work on."""

import asyncio
import csv
import signal
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.page import DEVICE
from tests.unit.cli_process import Command, Ended
from tests.waiting import eventually

DEFAULTS = ("--application", "134", "--campaign", "Campaign1", "--list", "CallingList1", "--device", DEVICE)


class MarkRuns:
    """Runs over one list; each with the same arguments."""

    def __init__(self, file: Path, url: str, *arguments: str) -> None:
        self.file = file
        self.results = Path(f"{file}.results.csv")
        self._arguments = ("mark", str(file), "--url", url, *DEFAULTS, *arguments)

    def command(self, *arguments: str) -> Command:
        """One run, which is not started yet."""
        return Command(*self._arguments, *arguments, environment={})

    async def run(self, *arguments: str, within: float = 120) -> Ended:
        """Run to the end."""
        async with self.command(*arguments) as command:
            return await command.ended(within=within)

    async def interrupted(self, at: int, number: signal.Signals = signal.SIGKILL, *, within: float = 120) -> Ended:
        """Run until the results have at least `at` lines, then send the signal; return how it ended."""
        async with self.command() as command:
            await eventually(lambda: self.lines() >= at or command.over, within=within)
            assert not command.over, command.errors
            command.send(number)
            return await command.ended(within=30)

    def lines(self) -> int:
        """How many lines the results have, with the header."""
        return self.results.read_bytes().count(b"\n") if self.results.exists() else 0

    def rows(self) -> list[dict[str, str]]:
        """All lines of the results."""
        with self.results.open(newline="") as text:
            return list(csv.DictReader(text))

    def outcomes(self) -> Counter[str]:
        """How many rows have which outcome; the last line of a row counts."""
        return Counter({row["row"]: row["outcome"] for row in self.rows()}.values())


def numbers(count: int, *, first: int = 4_155_550_000) -> list[str]:
    """So many phone numbers."""
    return [f"+1{first + number}" for number in range(count)]


def write(file: Path, lines: Iterable[str]) -> Path:
    """Write a list, one line each."""
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


async def kill_each(runs: MarkRuns, points: Iterable[int]) -> int:
    """Kill a run with SIGKILL at each of these numbers of lines; return how many were killed."""
    killed = 0
    for point in points:
        ended = await runs.interrupted(point)
        killed += ended.status == -signal.SIGKILL
        await asyncio.sleep(0)
    return killed
