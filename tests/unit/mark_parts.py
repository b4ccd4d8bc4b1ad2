"""Lists for the tests of `bridge mark`, read as the command reads them."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.commands.mark.entries import Entry, EntryReader
from bridge.commands.mark.results import Results, results_of
from bridge.commands.mark.rows import BadRow, Form, Row, form_of
from bridge.commands.mark.source import Source
from bridge.commands.mark.work import Ask, Known, Send, plan

DEFAULTS: Mapping[str, str] = {
    "application": "134",
    "campaign": "Campaign1",
    "list": "CallingList1",
    "device": "f32a46c4-8a48-4067-9965-537fc9788790",
}
JOB = "nightly"


def source(data: bytes | str, encoding: str | None = None) -> Source:
    return Source(io.BytesIO(data.encode() if isinstance(data, str) else data), encoding)


def form(data: bytes | str, delimiter: str | None = None, **columns: str) -> Form:
    return form_of(source(data), columns, delimiter)


def rows(data: bytes | str, delimiter: str | None = None, **columns: str) -> list[Row | BadRow]:
    given = source(data)
    return list(form_of(given, columns, delimiter).rows(given.lines()))


def told(data: bytes | str, delimiter: str | None = None, **columns: str) -> dict[int, Mapping[str, str] | str]:
    """By row its cells, or the reason why it can't be read."""
    return {
        row.number: dict(row.cells) if isinstance(row, Row) else row.fault.reason
        for row in rows(data, delimiter, **columns)
    }


def planned(
    data: bytes | str, results: Results | None = None, *, region: str | None = None, retry_failed: bool = False
) -> list[Send | Ask | Known]:
    given = source(data)
    found = form_of(given, {}, None)
    reader = EntryReader(DEFAULTS, region, found.columns)
    return list(plan(found.rows(given.lines()), reader, results, retry_failed=retry_failed))


def entries(*numbers: str) -> Sequence[Entry]:
    return [item.entry for item in planned("".join(f"{one}\n" for one in numbers)) if isinstance(item, Send)]


def results_at(path: Path) -> list[list[str]]:
    """The results that a next run reads, by row: outcome, reason and attempt."""
    with results_of(path, JOB) as found:
        known = [(row, found.earlier(row)) for row in range(100)]
    return [[str(row), one.outcome, one.reason, str(one.attempt)] for row, one in known if one is not None]
