"""Prints records as JSON lines, as plain lines, or as a table.

Records contain texts from callers and from Web Services. These texts could contain control sequences for the terminal
or markup for rich. So all output of a command must pass through `visible`, `in_cell` or `json_line`.
"""

from __future__ import annotations

import sys
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import msgspec
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.observability import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console, RenderableType

    from bridge.delivery import ConsumedRecord

ROWS: Final = 16
"""Rows of the live table, which shows the newest records."""
LONGEST: Final = 256
"""Longest value in a line or a table, in characters. A longer value is cut."""
_TELLING: Final = ("notificationType", "userEvent", "status", "change", "reason")
"""Members of an event's value that describe the event in a word. `cells` shows the first member that has a value."""


def visible(value: object, longest: int | None = LONGEST) -> str:
    """Return a value as text, with control characters escaped and cut to `longest` characters (None: not cut)."""
    return printable(str(value), longest)


def in_cell(value: object, longest: int | None = LONGEST) -> Text:
    """Return the text of `visible` for a table cell. Rich does not interpret this text as markup."""
    return Text(visible(value, longest))


def json_line(record: ConsumedRecord) -> str:
    """Return a record as a JSON object in one line. A value that is not JSON becomes a text."""
    shown = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "headers": {name: value.decode(errors="replace") for name, value in record.headers.items()},
        "value": value_of(record),
    }
    try:
        line = msgspec.json.encode(shown)
    except RecursionError:
        shown["value"] = None if record.value is None else record.value.decode(errors="replace")
        line = msgspec.json.encode(shown)
    return printable_json(line.decode())


def value_of(record: ConsumedRecord) -> Any:
    """Return the decoded JSON value, or the value as text if it is not JSON or is nested too deeply."""
    if record.value is None:
        return None
    try:
        return msgspec.json.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return record.value.decode(errors="replace")


def cells(record: ConsumedRecord) -> tuple[str, str, str, str, str]:
    """Return the cells of a record's row: time, topic with partition and offset, key, what happened, reference."""
    value = value_of(record)
    told = value if isinstance(value, dict) else {}
    what = next((told[name] for name in _TELLING if told.get(name) is not None), "")
    key = "" if record.key is None else record.key.decode(errors="replace")
    place = f"{record.topic}/{record.partition}@{record.offset}"
    reference = told.get("referenceId") or ""
    return _time(record.timestamp), visible(place), visible(key), visible(what), visible(reference)


def _time(timestamp: int) -> str:
    try:
        return datetime.fromtimestamp(timestamp / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):  # a producer may write any number
        return str(timestamp)


class View(Protocol):
    """A context manager that shows records one by one."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, record: ConsumedRecord) -> None:
        """Show a record."""


class Lines:
    """A view that writes one line for each record: JSON, or columns of text."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, record: ConsumedRecord) -> None:
        """Write the record's line and flush it."""
        sys.stdout.write((json_line(record) if self._as_json else "  ".join(cells(record))) + "\n")
        sys.stdout.flush()


class LiveTable:
    """A view that redraws a table of the newest records on the terminal."""

    def __init__(
        self, console: Console, title: str, *, rows: int = ROWS, above: Callable[[], RenderableType] | None = None
    ) -> None:
        """Show at most `rows` records, below the result of `above`."""
        self._title = title
        self._above = above
        self._newest: deque[tuple[str, ...]] = deque(maxlen=rows)
        self._count = 0
        self._live = Live(console=console, refresh_per_second=10, get_renderable=self._picture)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, record: ConsumedRecord) -> None:
        """Add a row for the record, and remove the oldest row if the table is full."""
        _, place, *others = cells(record)
        # Without time and prefix the row fits into 80 columns.
        self._newest.append((place.partition(".")[2], *others))
        self._count += 1

    def _picture(self) -> RenderableType:
        return self._table() if self._above is None else Group(self._above(), "", self._table())

    def _table(self) -> Table:
        title = f"{self._title}: {self._count} events, the newest {len(self._newest)}"
        table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
        for name in ("topic/partition@offset", "key", "what", "reference"):
            table.add_column(name, no_wrap=True, overflow="ellipsis")
        for row in tuple(self._newest):
            table.add_row(*map(in_cell, row))
        return table
