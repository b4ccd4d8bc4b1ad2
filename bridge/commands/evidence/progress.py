"""Shows the progress of a search on standard error: on a terminal as a bar, otherwise as lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

INTERVAL: Final = 10.0
"""Seconds between two lines if the output is not a terminal."""


class Bar:
    """A context manager that shows the progress of a search. `label` names the things that are counted."""

    def __init__(self, label: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(stderr=True, soft_wrap=True)
        self._label = label
        self._clock = clock
        self._shown_at = clock()
        self._progress = Progress(
            TextColumn(label),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` things are done. A smaller `done` than before starts a new search."""
        self._progress.update(self._task, completed=done, total=total)
        if not self._console.is_terminal and self._clock() - self._shown_at >= INTERVAL:
            self._shown_at = self._clock()
            self._console.print(f"{self._label}: {done:,} of {total:,}", markup=False, highlight=False)
