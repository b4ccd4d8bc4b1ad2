"""Prints records as JSON lines, as lines of columns, or as a table.

Records contain texts from callers and from Web Services. These texts could contain control sequences for the terminal
or markup for rich. So all output of a command must pass through `visible`, `in_cell` or `json_line`.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.commands.output.rows import Column, Rows
from bridge.errors import UNDECODABLE
from bridge.observability import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import RenderableType

    from bridge.delivery import ConsumedRecord

COLUMNS: Final = (
    Column("time (UTC)", 19),
    Column("topic", 16),
    Column("event", 20),
    Column("key", 19, grows=True),
    Column("reference", 16, grows=True, optional=True),
)
ROWS: Final = 16
"""Number of rows of the live table, which shows the newest records."""
LONGEST: Final = 256
"""Maximum number of characters of a value in a line or a table. A longer value is cut."""
_TELLING: Final = ("notificationType", "userEvent", "status", "change", "reason")
"""Members of an event's value that say in one word what happened. `summary` uses the first member that has a value."""


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
    except UNDECODABLE:
        return record.value.decode(errors="replace")


class Summary(NamedTuple):
    """The texts of a record's row. All texts are safe for a terminal."""

    time: str
    topic: str
    """The name of the topic without prefix and version."""
    event: str
    """One word that says what happened."""
    key: str
    reference: str
    late: bool


def summary(record: ConsumedRecord) -> Summary:
    """Return the texts of the record's row."""
    value = value_of(record)
    told = value if isinstance(value, dict) else {}
    event = next((told[name] for name in _TELLING if told.get(name) is not None), "")
    late = told.get("late") is True
    return Summary(
        time_of(record.timestamp),
        visible(short_name(record.topic)),
        visible(f"{event}, late" if late else event),
        key_of(record),
        visible(told.get("referenceId") or ""),
        late,
    )


def key_of(record: ConsumedRecord) -> str:
    """Return the record's key as text that is safe for a terminal."""
    return "" if record.key is None else visible(record.key.decode(errors="replace"))


def short_name(topic: str) -> str:
    """Return a topic's name without prefix and version: `user-events` for `gws.user-events.v1`."""
    return re.sub(r"\.v\d+$", "", topic).rpartition(".")[2]


def time_of(timestamp: int) -> str:
    """Return a record's timestamp (ms since the epoch) as date and time of day, UTC."""
    try:
        return datetime.fromtimestamp(timestamp // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
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


FAILED: Final = frozenset({"rejected", "timed-out"})
GAPS: Final = frozenset({"gap", "lost"})


def style_of(topic: str, told: Summary) -> str:
    """Return the colour of a record's row: failures are red, gaps are bold red, and late or odd events are yellow."""
    match short_name(topic):
        case "sessions" if told.event in GAPS:
            return "bold red"
        case "operations" if told.event in FAILED:
            return "red"
        case "dead-letters":
            return "red"
        case "unrecognized":
            return "yellow"
    return "yellow" if told.late else ""


class Lines:
    """A view that writes one line for each record: JSON, or columns of text below a header."""

    def __init__(self, *, as_json: bool, console: Console | None = None) -> None:
        self._as_json = as_json
        self._rows = Rows(COLUMNS, console or Console())

    def __enter__(self) -> Self:
        if not self._as_json:
            self._rows.header()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, record: ConsumedRecord) -> None:
        """Write the record's line and flush it."""
        if self._as_json:
            sys.stdout.write(json_line(record) + "\n")
            sys.stdout.flush()
        else:
            told = summary(record)
            self._rows.show(told[:5], style_of(record.topic, told))


class LiveTable:
    """A view that redraws a table of the newest records on the terminal."""

    def __init__(
        self, console: Console, *, rows: int = ROWS, above: Callable[[], RenderableType] | None = None
    ) -> None:
        """Show at most `rows` records. The text that `above` returns stands over the table."""
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
        told = summary(record)
        # Without time and prefix the row fits into 80 columns.
        place = f"{visible(record.topic.partition('.')[2])}/{record.partition}@{record.offset}"
        self._newest.append((place, told.key, told.event, told.reference))
        self._count += 1

    def _picture(self) -> RenderableType:
        return self._table() if self._above is None else Group(self._above(), "", self._table())

    def _table(self) -> Table:
        events = f"{self._count:,} event{'' if self._count == 1 else 's'}"
        title = f"read back from Kafka: {events}, the newest {len(self._newest)}"
        table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
        for name in ("topic/partition@offset", "key", "what", "reference"):
            table.add_column(name, no_wrap=True, overflow="ellipsis")
        for row in tuple(self._newest):
            table.add_row(*map(in_cell, row))
        return table
