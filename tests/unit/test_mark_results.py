from __future__ import annotations

import errno
import os
from io import FileIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.commands.mark.results import ACKNOWLEDGED, COLUMNS, REJECTED, Outcome, results_of
from bridge.errors import CommandFailed, UnusableInput
from tests.unit.mark_parts import JOB, entries, results_at

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import ReadableBuffer

HEADER = ",".join(COLUMNS).encode() + b"\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.csv.results.csv"


def write(path: Path, *outcomes: Outcome, job: str = JOB) -> bytes:
    """Append an outcome for each row from 1 on; return the file."""
    given = entries(*(f"415555267{number}" for number in range(len(outcomes))))
    with results_of(path, job) as results:
        for entry, outcome in zip(given, outcomes, strict=True):
            results.append(entry.row, 1, entry.values, outcome)
    return path.read_bytes()


def test_the_next_run_reads_what_was_written(path: Path) -> None:
    """A line for each row has what was sent, and the next run knows outcome, reason, attempt and record."""
    [entry] = entries("4155552671")
    with results_of(path, JOB) as results:
        assert results.earlier(1) is None
        results.append(1, 1, entry.values, Outcome(REJECTED, "status-code-3", 'no, "never"\nagain\x1b'))
        results.append(1, 2, entry.values, Outcome(ACKNOWLEDGED, acknowledgement_id="a-1", ended_at="now"))
    with results_of(path, JOB) as results:
        earlier = results.earlier(1)
    assert earlier is not None
    assert (earlier.outcome, earlier.attempt, earlier.identity) == (ACKNOWLEDGED, 2, entry.identity)
    assert path.read_text().splitlines()[1:] == [
        r'1,rejected,status-code-3,"no, ""never""\nagain\x1b",nightly-1,,,,134,Campaign1,CallingList1,,4155552671,',
        "1,acknowledged,,,nightly-1.2,,now,,134,Campaign1,CallingList1,,4155552671,a-1",
    ]


def test_long_and_odd_cells(path: Path) -> None:
    """Whatever a row that was not sent has in its cells, the next run can read the results."""
    with results_of(path, JOB) as results:
        results.append(1, 1, {"phone": '\x00"' * 30_000, "campaign": "\ud800"}, Outcome("invalid", "letters"))
    assert results_at(path) == [["1", "invalid", "letters", "1"]]


@pytest.mark.parametrize("line", ["1,acknowledged\n", '"\n', "x" * 200_000 + "\n"])
def test_a_line_of_somebody_else(path: Path, line: str) -> None:
    """A line that is not one of the results is told by its number."""
    write(path)
    with path.open("a") as file:
        file.write(line)
    with pytest.raises(UnusableInput, match="line 2 of the results"), results_of(path, JOB):
        pass


def test_only_the_owner_reads_it(path: Path) -> None:
    """The file holds phone numbers, so that it is made for its owner alone."""
    write(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_line_at_each_byte(path: Path) -> None:
    """Wherever a kill cuts the last line, the next run removes it, keeps what is before, and appends a whole line."""
    whole = write(path, Outcome(ACKNOWLEDGED), Outcome(ACKNOWLEDGED))
    first = whole.rstrip(b"\n").rindex(b"\n") + 1
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        kept = 0 if end < first else 1
        assert [row for row, *_ in results_at(path)] == [str(row + 1) for row in range(kept)]
        assert path.read_bytes() == (HEADER if end < first else whole[:first])


@given(st.binary(max_size=60))
def test_any_file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """A file that is no results file is refused, and stays as it is."""
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(data)
    try:
        with results_of(path, JOB):
            pass
    except UnusableInput:
        assert path.read_bytes() == data
    else:
        assert HEADER.startswith(data)


def test_a_list_given_as_results(path: Path) -> None:
    """A list that was given as --results by mistake is refused, not appended to."""
    path.write_text("Name,Telefon\nx,4155552671\n")
    with pytest.raises(UnusableInput, match="not a results file"), results_of(path, JOB):
        pass


def test_another_job(path: Path) -> None:
    """The results of another job are refused: its rows are not this list's."""
    write(path, Outcome(ACKNOWLEDGED))
    for job in ("other", "night", "nightly-1"):
        with pytest.raises(UnusableInput, match="another job"), results_of(path, job):
            pass


def test_two_runs_at_once(path: Path) -> None:
    """A second run on the same results ends at once; after the first one has ended it may go on."""
    with (
        results_of(path, JOB),
        pytest.raises(CommandFailed, match="another bridge mark"),
        results_of(path, JOB),
    ):
        pass
    write(path, Outcome(ACKNOWLEDGED))


def test_a_directory_that_can_not_be_written(tmp_path: Path) -> None:
    """Where the results can't be made, one line says so."""
    with pytest.raises(CommandFailed, match="can't be written"), results_of(tmp_path / "no" / "results.csv", JOB):
        pass


class OnFullDisk(FileIO):
    """A file on a disk that has room for the heading only."""

    def write(self, line: ReadableBuffer, /) -> int:
        if self.tell():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(line)


def test_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full ends the run with one line."""
    [entry] = entries("4155552671")
    monkeypatch.setattr("bridge.commands.mark.results.io.FileIO", OnFullDisk)
    with results_of(path, JOB) as results, pytest.raises(CommandFailed, match="No space left"):
        results.append(1, 1, entry.values, Outcome(ACKNOWLEDGED))
