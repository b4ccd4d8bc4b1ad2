"""The results file has the outcome of each row. People read this file, and the next run continues from it.

A line is appended when the outcome of a row is known. If a row has several lines, the last line counts. Each line is
given to the operating system before `append` returns. So `kill -9` can leave only the last line incomplete, and the
next run removes an incomplete line.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
import re
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.commands.mark.entries import identity_of, reference_of
from bridge.errors import CommandFailed, UnusableInput
from bridge.observability import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import FileIO
    from pathlib import Path


ACKNOWLEDGED: Final = "acknowledged"
REJECTED: Final = "rejected"
TIMED_OUT: Final = "timed-out"
UNDELIVERED: Final = "undelivered"
INVALID: Final = "invalid"
DUPLICATE: Final = "duplicate"
PENDING: Final = frozenset({"requested", "accepted"})
OUTCOMES: Final = (ACKNOWLEDGED, "accepted", "requested", REJECTED, TIMED_OUT, UNDELIVERED, INVALID, DUPLICATE)
"""All outcomes, in the order in which the summary names them."""
PASSING: Final = PENDING | {UNDELIVERED}
"""Outcomes that are not final. The next run continues these rows even without `--retry-failed`."""
NOT_SENT: Final = frozenset({INVALID, DUPLICATE})
GOOD: Final = frozenset({ACKNOWLEDGED, DUPLICATE})
"""Outcomes of a successful run. A duplicate is good because its record is counted with an earlier row."""
FIELD_COLUMNS: Final = {
    "account": "account",
    "application": "applicationId",
    "campaign": "campaignName",
    "list": "callingList",
    "handle": "recordHandle",
    "phone": "phoneNumber",
}
COLUMNS: Final = (
    "row",
    "outcome",
    "reason",
    "detail",
    "referenceId",
    "submittedAt",
    "endedAt",
    *FIELD_COLUMNS.values(),
    "acknowledgementId",
)
LONGEST_CUT: Final = 1000
"""Maximum number of characters of a detail, and of each cell of a row that was not sent."""
_HEADER: Final = (",".join(COLUMNS) + "\n").encode()
_CHUNK: Final = 1 << 20


class Outcome(NamedTuple):
    """The outcome of a row. `status` is one of `OUTCOMES`.

    `reason` is a stable word: the code of the bridge's problem, Web Services' status code, or the fault of an invalid
    row. `detail` is a sentence for people. For a rejected row, `detail` is Web Services' message. Times are in RFC
    3339.
    """

    status: str
    reason: str = ""
    detail: str = ""
    acknowledgement_id: str = ""
    submitted_at: str = ""
    ended_at: str = ""


class Earlier(NamedTuple):
    """The newest line of a row in the results file."""

    outcome: str
    reason: str
    attempt: int
    identity: bytes


class Results:
    """The results file of one job, open and locked against another `bridge mark`."""

    def __init__(self, path: Path, file: FileIO, job: str) -> None:
        self._path = path
        self._file = file
        self._job = job
        # A private temporary database. Only its cache is in memory, so a long list needs little memory.
        self._rows = sqlite3.connect("")
        self._rows.execute(
            "CREATE TABLE rows (row INTEGER PRIMARY KEY, outcome TEXT, reason TEXT, attempt INTEGER, identity BLOB)"
        )
        self._read()

    def close(self) -> None:
        """Close the temporary database. `results_of` closes the file."""
        self._rows.close()

    def earlier(self, row: int) -> Earlier | None:
        """Return the newest line of a row, from an earlier run or from this run, or None if the row has no line."""
        found = self._rows.execute(
            "SELECT outcome, reason, attempt, identity FROM rows WHERE row = ?", (row,)
        ).fetchone()
        return None if found is None else Earlier(*found)

    def append(self, row: int, attempt: int, values: Mapping[str, str], outcome: Outcome) -> None:
        """Append the outcome of a row. `values` contains the texts that were sent, by field.

        Raises:
            CommandFailed: the file can't be written.
        """
        cells = {name: values.get(field, "") for field, name in FIELD_COLUMNS.items()} | {
            "row": str(row),
            "outcome": outcome.status,
            "reason": outcome.reason,
            "detail": outcome.detail,
            "referenceId": reference_of(self._job, row, attempt),
            "submittedAt": outcome.submitted_at,
            "endedAt": outcome.ended_at,
            "acknowledgementId": outcome.acknowledgement_id,
        }
        cut = COLUMNS if outcome.status in NOT_SENT else ("detail",)
        line = [printable(cells[name], LONGEST_CUT if name in cut else None) for name in COLUMNS]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(line)
        self._write(text.getvalue().encode(errors="backslashreplace"))
        self._note(dict(zip(COLUMNS, line, strict=True)))

    def _note(self, cells: Mapping[str, str]) -> None:
        found = re.fullmatch(rf"{re.escape(self._job)}-(\d+)(?:\.(\d+))?", cells["referenceId"])
        if found is None or found[1] != cells["row"]:
            raise UnusableInput(
                "the results file belongs to another job; use another --results, or the same --job as before"
            )
        values = {field: cells[name] for field, name in FIELD_COLUMNS.items()}
        self._rows.execute(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)",
            (int(found[1]), cells["outcome"], cells["reason"], int(found[2] or 1), identity_of(values)),
        )

    def _read(self) -> None:
        self._cut_torn_line()
        with self._path.open(encoding="utf-8", errors="replace", newline="") as text:
            lines = csv.reader(text)
            if next(lines, None) is None:
                self._write(_HEADER)
                return
            try:
                for cells in lines:
                    self._note(dict(zip(COLUMNS, cells, strict=True)))
            except (csv.Error, ValueError):
                raise UnusableInput(f"line {lines.line_num} of the results was not written by bridge mark") from None

    def _write(self, line: bytes) -> None:
        try:
            written = self._file.write(line)
        except OSError as error:
            raise CommandFailed(f"the results can't be written: {error.strerror}") from None
        if written != len(line):
            raise CommandFailed("the results can't be written: only a part of a line was written")

    def _cut_torn_line(self) -> None:
        """Check that the file is a results file, and remove an incomplete last line."""
        self._file.seek(0)
        begin = self._file.read(len(_HEADER))
        if begin != _HEADER:
            if not _HEADER.startswith(begin):
                raise UnusableInput(
                    "--results names a file that is not a results file of this version; name another file"
                )
            self._file.truncate(0)
            return
        end = at = self._file.seek(0, os.SEEK_END)
        last = -1
        while last < 0:
            start = max(0, at - _CHUNK)
            self._file.seek(start)
            last, at = self._file.read(at - start).rfind(b"\n"), start
        if at + last + 1 < end:
            self._file.truncate(at + last + 1)


@contextmanager
def results_of(path: Path, job: str) -> Iterator[Results]:
    """Open the results file of a job. A new file is created so that only its owner can read it.

    Raises:
        UnusableInput: the file belongs to another job, or is not a results file.
        CommandFailed: the file can't be written, or another `bridge mark` is writing it.
    """
    try:
        file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "rb+")
    except OSError as error:
        raise CommandFailed(f"the results {path} can't be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFailed(f"another bridge mark is writing {path}; wait until it has ended") from None
        results = Results(path, file, job)
        try:
            yield results
        finally:
            results.close()
