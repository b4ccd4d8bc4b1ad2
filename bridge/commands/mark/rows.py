"""Reads the rows of the list: finds its form and its columns, and returns the cells of each row by field."""

from __future__ import annotations

import csv
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from bridge.commands.mark.fields import FIELDS, RowInvalid, field_of
from bridge.commands.mark.source import LONGEST_LINE, MARK, Line
from bridge.errors import UNDECODABLE, UnusableInput
from bridge.observability import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bridge.commands.mark.source import Source

DELIMITERS: Final = (",", ";", "\t", "|")
_NAMES: Final = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
_OPEN: Final = "unexpected end of data"
"""The message of the csv module for a quote that is not closed."""
MOST_LINES: Final = 20
"""Maximum number of lines of one row. A quoted cell may contain line breaks, but a missing quote must not join all
further lines."""


class Row(NamedTuple):
    """One row. `number` is the line number of its first line, as an editor shows it."""

    number: int
    cells: Mapping[str, str]
    """The cells by field, without empty cells."""


class BadRow(NamedTuple):
    """A row that can't be read."""

    number: int
    fault: RowInvalid


@dataclass(frozen=True)
class Form:
    """The form of a list. `columns` maps each field to its place in the row (from 0), or to its name in JSON."""

    columns: Mapping[str, int | str]
    delimiter: str | None
    """The character between columns, or None for JSON lines."""
    width: int
    """The number of columns in the first row; 1 for JSON lines."""
    header: bool
    described: str

    def rows(self, lines: Iterable[Line]) -> Iterator[Row | BadRow]:
        """Yield the rows of the list, without its header and without empty rows."""
        skip = self.header
        for number, cells in self._json(lines) if self.delimiter is None else _table(lines, self):
            if skip:
                skip = False
            elif isinstance(cells, RowInvalid):
                yield BadRow(number, cells)
            else:
                yield Row(number, {field: cell for field, cell in cells.items() if cell})

    def _json(self, lines: Iterable[Line]) -> Iterator[tuple[int, Mapping[str, str] | RowInvalid]]:
        for line in lines:
            if line.text is None or line.text.strip():
                try:
                    members = json_object(line)
                    cells = {field: _text(members.get(str(name))) for field, name in self.columns.items()}
                except RowInvalid as fault:
                    yield line.number, fault
                else:
                    yield line.number, cells


def form_of(source: Source, columns: Mapping[str, str], delimiter: str | None) -> Form:
    """Find the form of a list from its first row.

    `columns` (a name or a place for each field) and `delimiter` are the user's choices, which take precedence.

    Raises:
        UnusableInput: no column has phone numbers or handles, or a column in `columns` does not exist.
    """
    first = next((line for line in source.lines() if line.text is None or line.text.strip()), None)
    if first is None:
        return Form({"phone": 0}, ",", 1, header=False, described="empty")
    if first.text is None:
        raise UnusableInput(f"line {first.number} is longer than {LONGEST_LINE} characters; is this file a list?")
    start = first.text.lstrip()
    if start.startswith("["):
        raise UnusableInput(
            "the list is a JSON array; write one object on each line, for example with: jq -c '.[]' FILE"
        )
    if start.startswith("{"):
        return _json_form(first, columns)
    return _table_form(first.text, columns, delimiter)


def _json_form(first: Line, columns: Mapping[str, str]) -> Form:
    try:
        names = list(json_object(first))
    except RowInvalid:
        names = []
    found = _by_names(names, columns) if names else {}
    for field, name in columns.items():
        found.setdefault(field, name)  # a member may be missing in the first object
    _check_found(found, names)
    return Form(found, None, 1, header=False, described=f"JSON lines{_told(found, names)}")


def _table_form(first: str, columns: Mapping[str, str], delimiter: str | None) -> Form:
    separator = delimiter or max(DELIMITERS, key=_outside_quotes(first).count)
    try:
        names = _cells([Line(1, first)], separator)
    except RowInvalid:
        names = []
    alone = separator not in first
    kind = "one column" if alone else f"table with {_NAMES.get(separator, repr(separator))}"
    if columns and all(place.isdecimal() for place in columns.values()) and not set(columns.values()) & set(names):
        places: dict[str, int | str] = {field: int(place) - 1 for field, place in columns.items()}
        if not all(0 <= int(place) < max(1, len(names)) for place in places.values()):
            raise UnusableInput(f"--column: the first row has {len(names)} columns; places count from 1")
        return Form(places, separator, len(names), header=False, described=f"{kind}, no header")
    found = _by_names(names, columns)
    if not found and alone:
        return Form({"phone": 0}, separator, 1, header=False, described="one phone number a line")
    _check_found(found, names)
    at = {field: names.index(str(name)) for field, name in found.items()}
    return Form(at, separator, len(names), header=True, described=f"{kind}{_told(found, names)}")


def _by_names(names: Sequence[str], columns: Mapping[str, str]) -> dict[str, int | str]:
    """Return the column name of each field: the name in `columns`, or else a known name of the field."""
    missing = [name for name in columns.values() if name not in names]
    if missing:
        raise UnusableInput(f"--column: no column {_quoted(missing)}; there are {_quoted(names)}")
    found: dict[str, int | str] = dict(columns)
    for name in names:
        field = field_of(name)
        if field is None or field in columns or name in columns.values():
            continue
        if field in found:
            raise UnusableInput(f"columns {_quoted([str(found[field]), name])} both look like --column {field}=…")
        found[field] = name
    return found


def _check_found(found: Mapping[str, object], names: Sequence[str]) -> None:
    if not {"phone", "handle"} & set(found):
        raise UnusableInput(
            f"no column with phone numbers or record handles among {_quoted(names)}; "
            "name it with --column phone=NAME or --column handle=NAME (or give its place, counted from 1)"
        )


def _told(found: Mapping[str, int | str], names: Sequence[str]) -> str:
    named = ", ".join(f"{field} = {printable(str(found[field]), 40)}" for field in FIELDS if field in found)
    return f"; {named}; columns not used: {max(0, len(names) - len(found))}"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(printable(name, 40)) for name in names[:20]) or "none"


def _outside_quotes(text: str) -> str:
    return "".join(text.split('"')[::2])


def _table(lines: Iterable[Line], form: Form) -> Iterator[tuple[int, Mapping[str, str] | RowInvalid]]:
    """Yield the cells of each row by field, or the reason why the row can't be read.

    A row may have several lines, because a quoted cell may contain line breaks. Such a row can't be read if its quote
    is not closed, if it has more or fewer cells than the header, or if a quoted cell seems to contain other rows. In
    these cases only the first line of the row is reported. The following lines are read as new rows.
    """
    assert form.delimiter is not None
    waiting: deque[Line] = deque()
    source = iter(lines)
    while (first := waiting.popleft() if waiting else next(source, None)) is not None:
        row = [first]
        while _quote_is_open(row, form.delimiter) and len(row) < MOST_LINES:
            following = waiting.popleft() if waiting else next(source, None)
            if following is None or following.text is None:
                waiting.extendleft([following] if following else [])
                break
            row.append(following)
        try:
            cells = _whole_row(row, form)
        except RowInvalid as fault:
            waiting.extendleft(reversed(row[1:]))
            yield first.number, fault
        else:
            if any(cells):
                places = ((field, int(place)) for field, place in form.columns.items())
                yield first.number, {field: cells[at] if at < len(cells) else "" for field, at in places}


def _whole_row(row: Sequence[Line], form: Form) -> list[str]:
    assert form.delimiter is not None
    cells = _cells(row, form.delimiter)
    if len(cells) > form.width or (len(row) > 1 and len(cells) != form.width):
        raise RowInvalid("columns", f"the row has {len(cells)} columns, the header has {form.width}")
    if sum((line.text or "").count(form.delimiter) + 1 >= form.width for line in row) > 1:
        raise RowInvalid("ambiguous-quote", "a quoted cell seems to contain other rows; close its quote")
    return cells


def _quote_is_open(row: Sequence[Line], delimiter: str) -> bool:
    """Return whether a quoted cell continues on the next line."""
    if '"' not in (row[0].text or ""):
        return False
    try:
        _read(row, delimiter)
    except csv.Error as error:
        return _OPEN in str(error)
    return False


def _read(row: Sequence[Line], delimiter: str) -> list[str]:
    texts = [f"{line.text}\n" for line in row]
    return [
        cell for cells in csv.reader(texts, delimiter=delimiter, strict=True, skipinitialspace=True) for cell in cells
    ]


def _cells(row: Sequence[Line], delimiter: str) -> list[str]:
    """Return the cells of a row.

    Raises:
        RowInvalid: the line is too long, or a quote is at a place where quotes are not allowed.
    """
    if row[0].text is None:
        raise RowInvalid("line-too-long", f"the line has more than {LONGEST_LINE} characters")
    if '"' not in row[0].text:
        cells = row[0].text.split(delimiter)
    else:
        try:
            cells = _read(row, delimiter)
        except csv.Error as error:
            reason = "open-quote" if _OPEN in str(error) else "quotes"
            raise RowInvalid(reason, "a quote is not closed, or is inside a cell; write it twice there") from None
    return [cell.strip().strip(MARK) for cell in cells]


def json_object(line: Line) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        RowInvalid: the line is too long, or is not one JSON object.
    """
    if line.text is None:
        raise RowInvalid("line-too-long", f"the line has more than {LONGEST_LINE} characters")
    try:
        value = msgspec.json.decode(line.text)
    except UNDECODABLE:
        raise RowInvalid("not-json", "the line is not JSON") from None
    if not isinstance(value, dict):
        raise RowInvalid("not-json", "the line is not a JSON object")
    return value


def _text(value: Any) -> str:
    """Return the value of a JSON member as text. Text, whole numbers and null are allowed."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        value = int(value)
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RowInvalid("not-text", "the value of a field is neither text nor a whole number")
