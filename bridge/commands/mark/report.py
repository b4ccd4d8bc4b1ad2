"""The terminal output of a run: its progress, the rows that are not acknowledged, and a summary.

The output names a row by its line in the list. Standard error is often kept in logs, so it must not contain a phone
number.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from bridge.commands.mark.results import ACKNOWLEDGED, GOOD, NOT_SENT, OUTCOMES, Outcome
from bridge.commands.output.bar import ProgressBar
from bridge.observability import printable

if TYPE_CHECKING:
    from rich.console import Console

MOST_NOTES: Final = 20
"""Maximum number of rows that are named on the terminal. The results file contains all rows."""


class Report(ProgressBar):
    """Counts and shows outcomes. Use it as a context manager. `total` is the number of lines that may be rows."""

    def __init__(self, console: Console, total: int) -> None:
        columns = (
            TextColumn("marking"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[counts]}"),
        )
        super().__init__(console, columns)
        self._total = total
        self._began = self.clock()
        self._notes = 0
        self._new = 0
        self.counts: Counter[str] = Counter()
        self._task = self.progress.add_task("", total=total, rate="", counts="")

    def say(self, text: str) -> None:
        """Print a line above the progress bar."""
        self.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def count(self, row: int, outcome: Outcome, *, new: bool) -> None:
        """Count a row. Print the row if its outcome is new in this run and is not acknowledged."""
        self.counts[outcome.status] += 1
        self._new += outcome.status == ACKNOWLEDGED and new
        if new and outcome.status != ACKNOWLEDGED:
            self._note(row, outcome)
        self.progress.update(self._task, advance=1, rate=self._rate(), counts=counts_of(self.counts))
        if self.line_due():
            self.say(f"{self.rows:,} of {self._total:,} lines: {counts_of(self.counts)}; {self._rate()}{self._left()}")

    @property
    def rows(self) -> int:
        """The number of rows counted so far."""
        return self.counts.total()

    @property
    def good(self) -> bool:
        """Whether every counted row is acknowledged, or is a duplicate of an earlier row."""
        return set(self.counts) <= GOOD

    def summary(self) -> str:
        """Return one line that sums up the run: the rows, their outcomes, and the time."""
        seconds = self.clock() - self._began
        rows = f"{self.rows:,} row{'' if self.rows == 1 else 's'}"
        counts = f": {counts_of(self.counts)}" if self.rows else ""
        return f"{rows}{counts}; {self._new:,} acknowledged in this run, in {seconds:.1f} s"

    def _note(self, row: int, outcome: Outcome) -> None:
        self._notes += 1
        if self._notes <= MOST_NOTES:
            self.say(f"row {row}: {line_of(outcome)}")
        elif self._notes == MOST_NOTES + 1:
            self.say("further rows are listed only in the results file")

    def _rate(self) -> str:
        seconds = self.clock() - self._began
        return f"{self._new / seconds:,.0f}/s" if seconds > 0 else ""

    def _left(self) -> str:
        left, pace = self._total - self.rows, self.rows / max(self.clock() - self._began, 0.001)
        return f", about {left / pace:,.0f} s left" if pace > 0 else ""


def counts_of(counts: Counter[str]) -> str:
    """Return the counts as text, in the order of `OUTCOMES`."""
    return ", ".join(f"{counts[name]:,} {name}" for name in OUTCOMES if counts[name])


def line_of(outcome: Outcome) -> str:
    """Return an outcome as one line, without Web Services' message, because that may contain a phone number."""
    reason = f", {outcome.reason}" if outcome.reason != outcome.status else ""
    return f"{outcome.status}{reason}{f': {outcome.detail}' if outcome.status in NOT_SENT else ''}"
