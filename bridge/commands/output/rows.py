"""Prints rows of columns as plain lines, which fit into the terminal.

In a pipe or a file, no text is cut, so that other programs can read the full text. If the environment variable COLUMNS
is set, its value is the width for all outputs.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

GAP: Final = "  "
MOST: Final = 40
"""Maximum width to which a column grows. A UUID has 36 characters."""


@dataclass(frozen=True)
class Column:
    """A column. `width` is its least width in characters."""

    title: str
    width: int
    grows: bool = False
    """Whether the column may take the rest of the line."""
    whole: bool = False
    """Whether optional columns are left out if this column's known texts would otherwise be cut."""
    optional: bool = False
    """Whether the column is left out if the terminal is too narrow."""
    most: int = MOST
    """Maximum width to which the column grows."""


class Rows:
    """Writes rows to the console. Each row is one line. The texts must be safe for a terminal.

    Without `cut`, the rows may be wider than the terminal. `known` are all rows that will be shown, if they are known
    in advance. With `known`, a column grows no further than to its longest text, and uncut rows are aligned. Without
    `known`, an uncut column that grows is `Column.most` wide, so a longer text moves the columns after it to the right.
    """

    def __init__(
        self, columns: Sequence[Column], console: Console, *, cut: bool = True, known: Sequence[Sequence[str]] = ()
    ) -> None:
        self._console = console
        self._cut = cut and (console.is_terminal or "COLUMNS" in os.environ)
        self._columns = dict(enumerate(columns))
        """The shown columns, by their place among all columns."""
        longest = [max(cell_len(row[place]) for row in known) for place in self._columns] if known else []
        if self._cut:
            for place, length in enumerate(longest):
                self._columns[place] = replace(self._columns[place], most=min(MOST, length))
            _fit(self._columns, console.width)
            return
        for place, column in self._columns.items():
            width = longest[place] if known else column.most if column.grows else 0
            self._columns[place] = replace(column, width=max(column.width, width))

    def header(self) -> None:
        """Write the titles of the columns."""
        self._write({place: column.title.upper() for place, column in self._columns.items()}, "bold")

    def show(self, cells: Sequence[str], style: str = "") -> None:
        """Write a row. `cells` has a text for each column, also for columns that are left out."""
        self._write(dict(enumerate(cells)), style)

    def _write(self, cells: Mapping[int, str], style: str) -> None:
        shown = [
            _padded(shorten(cells[place], column.width) if self._cut else cells[place], column.width)
            for place, column in self._columns.items()
        ]
        line = GAP.join(shown).rstrip()
        if self._console.is_terminal:
            self._console.print(Text(line, style=style), no_wrap=True, overflow="ignore", crop=False)
        else:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _fit(columns: dict[int, Column], width: int) -> None:
    """Leave out optional columns, the last one first, until the rest fits. Give free width to columns that grow."""
    least = dict(columns)
    for place, column in columns.items():
        if column.whole:
            columns[place] = replace(column, width=max(column.width, column.most))
    for place in [place for place, column in columns.items() if column.optional][::-1]:
        if _free(columns, width) < 0:
            del columns[place]
    if _free(columns, width) < 0:
        columns.update((place, least[place]) for place in list(columns))
    for place, column in reversed(columns.items()):
        if column.grows:
            more = max(0, min(_free(columns, width), column.most - column.width))
            columns[place] = replace(column, width=column.width + more)


def _free(columns: Mapping[int, Column], width: int) -> int:
    return width - sum(column.width for column in columns.values()) - len(GAP) * (len(columns) - 1)


def shorten(text: str, width: int) -> str:
    """Cut a text in its middle, because keys often differ only at the end. `width` is in cells of a terminal."""
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2
    head = set_cell_size(text, width - 1 - tail).rstrip()
    end = text[-tail:] if tail else ""
    while cell_len(end) > tail:
        end = end[1:]
    return f"{head}…{end}"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
