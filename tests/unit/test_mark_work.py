from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.commands.mark.entries import EntryReader, reference_of
from bridge.commands.mark.results import ACKNOWLEDGED, REJECTED, TIMED_OUT, UNDELIVERED, Outcome, Results, results_of
from bridge.commands.mark.work import Ask, Known, Send
from bridge.errors import UnusableInput
from tests.unit.mark_parts import DEFAULTS, JOB, entries, planned

LIST = "4155552671\n4155552672\n"


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    with results_of(tmp_path / "results.csv", JOB) as found:
        yield found


def note(results: Results, status: str, row: int = 1, reason: str = "") -> None:
    """Write an outcome of a row of LIST."""
    entry = entries(*LIST.split())[row - 1]
    results.append(row, 1, entry.values, Outcome(status, reason or status))


def test_references_hold_no_number() -> None:
    """The referenceId is made of the job, the row's line and the attempt, and of nothing that the row holds."""
    assert (reference_of("j", 7, 1), reference_of("j", 7, 2)) == ("j-7", "j-7.2")


def test_what_is_sent() -> None:
    """A row's cells win over the defaults; the body is Web Services' own; a device may be given by its id."""
    [item] = planned("phone,handle,campaign,device\n(415) 555-2671,13,C2,/devices/d\n")
    assert isinstance(item, Send)
    assert item.entry.handle == 13
    assert item.entry.body("r") == {
        "operationName": "DoNotCallRecord",
        "phoneNumber": "4155552671",
        "applicationId": 134,
        "campaignName": "C2",
        "callingList": "CallingList1",
        "devicePath": "/devices/d",
        "referenceId": "r",
    }
    [other] = planned("4155552671\n")
    assert isinstance(other, Send)
    assert other.entry.body("r")["devicePath"] == f"/devices/{DEFAULTS['device']}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("phone,name\n,x\n", "no-record"),
        ("handle\n13.0\n", "invalid-handle"),
        ("handle\n-1\n", "invalid-handle"),
        ("handle\n99999999999999999999999\n", "invalid-handle"),
        ("phone,application\n3001,x\n", "invalid-application"),
        ("phone,chain\n3001,Everything\n", "invalid-request"),
        ("phone,device\n3001,/phones/1\n", "invalid-request"),
        ("phone,campaign\n3001,C\u200b1\n", "characters"),
        ("phone,campaign\n3001,C\ufffd1\n", "characters"),
    ],
)
def test_invalid_rows(text: str, reason: str) -> None:
    """What the bridge or Web Services would refuse is told by row and never sent."""
    [item] = planned(text)
    assert isinstance(item, Known)
    assert (item.outcome.status, item.outcome.reason) == ("invalid", reason)


def test_what_every_row_lacks() -> None:
    """Where neither a column nor a default has what each row needs, the list is unusable before anything is sent."""
    with pytest.raises(UnusableInput, match="--application, --campaign, --device"):
        EntryReader({}, None, ["phone"])
    with pytest.raises(UnusableInput, match="--list"):
        EntryReader({"application": "1", "campaign": "c", "device": "d"}, None, ["handle"])


def test_doubles() -> None:
    """A second row about the same record is a duplicate that names the first; another campaign's or list's is not."""
    text = "phone,campaign,handle\n3001,A,\n(30) 01,A,\n3001,B,\n3001,A,13\n3002,A,13\n"
    items = planned(text)
    assert [type(item) for item in items] == [Send, Known, Send, Send, Known]
    assert [item.outcome.detail for item in items if isinstance(item, Known)] == [
        "the same record as row 2",
        "the same record as row 5",
    ]


@pytest.mark.parametrize("status", ["requested", "accepted", UNDELIVERED])
def test_passing_outcomes(results: Results, status: str) -> None:
    """A row that was under way, or was never judged, goes on under the same referenceId, and is asked for first."""
    note(results, status)
    assert planned(LIST, results)[0] == Send(entries(*LIST.split())[0], 1, ask=True)


@pytest.mark.parametrize("status", [ACKNOWLEDGED, REJECTED])
def test_final_outcomes(results: Results, status: str) -> None:
    """A row that is done, or was refused, is not sent again."""
    note(results, status)
    [first, second] = planned(LIST, results)
    assert isinstance(first, Known)
    assert (first.outcome.status, first.new) == (status, False)
    assert isinstance(second, Send)


@pytest.mark.parametrize("status", [TIMED_OUT, REJECTED])
def test_retry_failed(results: Results, status: str) -> None:
    """--retry-failed sends what failed under a new referenceId, also with what was corrected; what is done stays."""
    note(results, status)
    note(results, ACKNOWLEDGED, 2)
    [first, second] = planned("4155552679\n4155552672\n", results, retry_failed=True)
    assert isinstance(first, Send)
    assert (first.attempt, first.ask, first.entry.values["phone"]) == (2, False, "4155552679")
    assert isinstance(second, Known)


def test_a_time_out_is_asked_for(results: Results) -> None:
    """The acknowledgement of a row that has timed out may have come late: the next run asks, and sends nothing."""
    note(results, TIMED_OUT)
    assert isinstance(planned(LIST, results)[0], Ask)


@pytest.mark.parametrize("status", [ACKNOWLEDGED, REJECTED, TIMED_OUT, "accepted"])
def test_another_list(results: Results, status: str) -> None:
    """A row about another record than in the results ends the run: it must not pass for done."""
    note(results, status)
    with pytest.raises(UnusableInput, match="row 1 is about another record"):
        planned("4155552679\n", results)


def test_a_row_that_is_invalid_now(results: Results) -> None:
    """A row that was sent and can't be read now has changed: its outcome must not be written over."""
    note(results, ACKNOWLEDGED)
    with pytest.raises(UnusableInput, match="row 1 is about another record"):
        planned("unknown\n", results)


def test_invalid_rows_are_written_once(results: Results) -> None:
    """A next run writes no second line for a row that is still invalid; one that was corrected is sent."""
    results.append(1, 1, {"phone": "x"}, Outcome("invalid", "letters"))
    [same] = planned("x\n", results)
    assert isinstance(same, Known)
    assert not same.new
    assert planned("4155552671\n", results) == [Send(entries("4155552671")[0], 1, ask=False)]
