"""Decides what to do with each row of a list, from the results of earlier runs."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from bridge.commands.mark.fields import RowInvalid
from bridge.commands.mark.results import ACKNOWLEDGED, DUPLICATE, INVALID, NOT_SENT, PASSING, TIMED_OUT, Outcome
from bridge.commands.mark.rows import BadRow
from bridge.errors import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bridge.commands.mark.entries import Entry, EntryReader
    from bridge.commands.mark.results import Earlier, Results
    from bridge.commands.mark.rows import Row


class Send(NamedTuple):
    """A row to send. With `ask`, an earlier run may have sent the row, so the bridge is first asked for the outcome."""

    entry: Entry
    attempt: int
    ask: bool


class Ask(NamedTuple):
    """A row whose operation timed out.

    The bridge is asked once whether the operation was acknowledged later. The row is not sent again.
    """

    entry: Entry
    attempt: int
    earlier: Outcome


class Known(NamedTuple):
    """A row with nothing left to do. `new` is true if the outcome is not yet in the results file."""

    row: int
    outcome: Outcome
    values: Mapping[str, str]
    new: bool


def plan(
    rows: Iterable[Row | BadRow], reader: EntryReader, results: Results | None, *, retry_failed: bool
) -> Iterator[Send | Ask | Known]:
    """Yield what to do with each row, in the order of the list. Without `results`, every row counts as new.

    Raises:
        UnusableInput: a row and its line in the results name different records, so the list has changed.
    """
    seen = SeenRecords()
    for row in rows:
        earlier = None if results is None else results.earlier(row.number)
        verdict = _verdict(row, reader, seen)
        if isinstance(verdict, Known):
            if earlier is not None and earlier.outcome not in NOT_SENT:
                raise _changed(row.number)
            told = earlier is not None and (earlier.outcome, earlier.reason) == verdict.outcome[:2]
            yield verdict._replace(new=not told)
        elif earlier is None:
            yield Send(verdict, 1, ask=False)
        else:
            yield _again(verdict, earlier, retry_failed=retry_failed)


def _verdict(row: Row | BadRow, reader: EntryReader, seen: SeenRecords) -> Entry | Known:
    """Return the operation of a row, or the outcome of a row that is not sent (invalid or duplicate)."""
    if isinstance(row, BadRow):
        return Known(row.number, Outcome(INVALID, row.fault.reason, row.fault.detail), {}, new=True)
    try:
        entry = reader.entry(row)
    except RowInvalid as fault:
        return Known(row.number, Outcome(INVALID, fault.reason, fault.detail), row.cells, new=True)
    first = seen.first(entry.identity, row.number)
    if first != row.number:
        outcome = Outcome(DUPLICATE, "duplicate", f"the same record as row {first}")
        return Known(row.number, outcome, entry.values, new=True)
    return entry


def _again(entry: Entry, earlier: Earlier, *, retry_failed: bool) -> Send | Ask | Known:
    """Return what to do with a row that has a line in the results."""
    failed = earlier.outcome not in PASSING | NOT_SENT | {ACKNOWLEDGED}
    if earlier.outcome in NOT_SENT:  # the list was corrected
        return Send(entry, earlier.attempt, ask=False)
    if failed and retry_failed:
        return Send(entry, earlier.attempt + 1, ask=False)
    if earlier.identity != entry.identity:
        raise _changed(entry.row)
    outcome = Outcome(earlier.outcome, earlier.reason)
    if earlier.outcome in PASSING:
        return Send(entry, earlier.attempt, ask=True)
    if earlier.outcome == TIMED_OUT:
        return Ask(entry, earlier.attempt, outcome)
    return Known(entry.row, outcome, entry.values, new=False)


def _changed(row: int) -> UnusableInput:
    return UnusableInput(
        f"row {row} is about another record than in the results: the list or the options have changed; "
        "for another list, use another --job and another --results"
    )


class SeenRecords:
    """Stores the first row of each record in a private temporary database, so a long list needs little memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE seen (identity BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")

    def first(self, identity: bytes, row: int) -> int:
        """Return the first row with this record: `row` itself, or an earlier row."""
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (identity, row))
        if added.rowcount:
            return row
        return int(self._database.execute("SELECT row FROM seen WHERE identity = ?", (identity,)).fetchone()[0])
