"""Prints the answers of a running bridge as JSON lines, as rows, or as one line for each name and value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Console

from bridge.commands.output.rows import Rows
from bridge.commands.output.views import visible
from bridge.observability import printable_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bridge.commands.output.rows import Column

STYLES: Final = {"rejected": "red", "timed-out": "red", "acknowledged": "green", "connected": "green"}


def print_json(documents: Iterable[Any]) -> None:
    """Print each document as one line."""
    for document in documents:
        print(printable_json(msgspec.json.encode(document).decode()))  # noqa: T201 -- the command's output


def print_rows(columns: Sequence[Column], rows: Iterable[Sequence[object]], *, nothing: str) -> None:
    """Print a header and the rows, or the text `nothing` if there are no rows. The third cell chooses the colour."""
    console, found = Console(), list(rows)
    if not found:
        console.print(nothing, markup=False, highlight=False)
        return
    texts = [[visible("" if one is None else one) for one in row] for row in found]
    output = Rows(columns, console, known=texts)
    output.header()
    for row, cells in zip(found, texts, strict=True):
        output.show(cells, STYLES.get(str(row[2]), ""))


def print_members(document: Mapping[str, Any]) -> None:
    """Print each member of a document with its name. A member of a nested object has a dotted name."""
    flat = dict(_flat(document))
    width = max(map(len, flat), default=0)
    for name, value in flat.items():
        print(f"{visible(name):{width}}  {visible(value, longest=None)}")  # noqa: T201 -- the command's output


def short_time(text: object) -> str:
    """Return an RFC 3339 time as date and time in UTC, to the second. Another value is returned as text."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return "" if text is None else str(text)


def _flat(document: Mapping[str, Any], under: str = "") -> Iterable[tuple[str, object]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{under}{name}.")
        else:
            yield f"{under}{name}", "yes" if value is True else "no" if value is False else value
