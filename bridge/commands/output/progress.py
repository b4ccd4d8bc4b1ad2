"""Shows on standard error what a command waits for."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.text import Text

from bridge.observability import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

SECOND: Final = 1.0
MOST: Final = 3
"""Maximum number of names in the line. Further names are only counted."""
PATIENCE: Final = 5
"""Seconds before the first line and between two lines, if standard error is not a terminal."""


class Progress:
    """Shows what the command waits for, while the `with` block runs in an event loop.

    On a terminal one line is updated each second and removed at the end. Other outputs get a line every `PATIENCE`
    seconds. `doing` is the first word of the line, such as "Checking".
    """

    def __init__(self, doing: str, console: Console | None = None) -> None:
        self._doing = doing
        self._console = console or Console(stderr=True)
        self._waiting: list[str] = []
        self._began = time.monotonic()
        self._status = self._console.status("") if self._console.is_terminal else None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.ensure_future(self._show())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._status is not None:
            self._status.stop()

    @contextmanager
    def waiting(self, name: str) -> Iterator[None]:
        """Show `name` while the block runs."""
        self._waiting.append(name)
        try:
            yield
        finally:
            self._waiting.remove(name)

    async def _show(self) -> None:
        while True:
            seconds = round(time.monotonic() - self._began)
            shown = self._waiting[:MOST]
            if len(self._waiting) > MOST:
                shown.append(f"{len(self._waiting) - MOST} more")
            text = printable(" ".join(filter(None, (self._doing, ", ".join(shown), f"({seconds} s)"))))
            if self._status is not None:
                self._status.update(Text(text))
                self._status.start()
            elif seconds >= PATIENCE and seconds % PATIENCE == 0:
                self._console.print(text, markup=False, highlight=False, soft_wrap=True)
            await asyncio.sleep(SECOND)
