"""Shows the progress of a search on standard error: on a terminal as a bar, otherwise as lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from bridge.commands.output.bar import ProgressBar

if TYPE_CHECKING:
    from collections.abc import Callable


class Bar(ProgressBar):
    """A context manager that shows the progress of a search. `label` names the things that are counted."""

    def __init__(self, label: str, clock: Callable[[], float] = time.monotonic) -> None:
        columns = (
            TextColumn(label),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        super().__init__(Console(stderr=True, soft_wrap=True), columns, transient=True, clock=clock)
        self._label = label
        self._task = self.progress.add_task("", total=None)

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` things are done. A smaller `done` than before starts a new search."""
        self.progress.update(self._task, completed=done, total=total)
        if self.line_due():
            self.console.print(f"{self._label}: {done:,} of {total:,}", markup=False, highlight=False)
