"""A progress bar. An output that is not a terminal gets a line of text from time to time instead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from rich.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from rich.console import Console
    from rich.progress import ProgressColumn

INTERVAL: Final = 10.0
"""Seconds between two lines if the output is not a terminal."""


class ProgressBar:
    """A context manager that shows `columns` on a terminal. A `transient` bar disappears at the end."""

    def __init__(
        self,
        console: Console,
        columns: Sequence[ProgressColumn],
        *,
        transient: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console
        self.clock = clock
        self._shown_at = clock()
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=transient)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def line_due(self) -> bool:
        """Return whether to print a line now: the output is not a terminal, and the last line is `INTERVAL` s old."""
        due = not self.console.is_terminal and self.clock() - self._shown_at >= INTERVAL
        if due:
            self._shown_at = self.clock()
        return due
