from pathlib import Path

import pytest

from benchmarks.__main__ import COMMAND, PAGE, PARTS, PLANNED
from benchmarks.measuring.results import Quantity, Results
from benchmarks.parts.bench import FULL
from benchmarks.reporting.comparisons import Comparison, Outcome, comparisons
from benchmarks.reporting.page import END, begin, write_between_marks
from benchmarks.reporting.table import COLUMNS, for_json, for_markdown, rows
from benchmarks.sizing import PAGE as SIZING_PAGE
from benchmarks.sizing_report import COMMAND as SIZING_COMMAND

SPEED = Quantity("events/s", 0)


@pytest.fixture
def results() -> Results:
    results = Results()
    for ours, java in ((60_000, 30_000), (66_000, 30_000), (10_000, 29_000)):
        results.note(SPEED, "ours", ours)
        results.note(SPEED, "java", java)
    return results


def outcome(results: Results, comparison: Comparison) -> Outcome:
    found = comparison.outcome(results)
    assert found is not None
    return found


def test_a_ratio_is_that_of_the_medians(results: Results) -> None:
    """A comparison divides the candidate's median by that of the other, and says of whom."""
    found = outcome(results, Comparison(SPEED, "ours", "java"))
    assert (found.value, found.kept, str(found)) == (2.0, True, "2.00 x java")


@pytest.mark.parametrize(
    ("comparison", "shown"),
    [
        (Comparison(SPEED, "ours", "java", "at least", 2.0), "2.00 x java (wanted at least 2: kept)"),
        (Comparison(SPEED, "ours", "java", "at least", 2.2), "2.00 x java (wanted at least 2.2: MISSED)"),
        (Comparison(SPEED, "ours", "java", "at most", 2.0), "2.00 x java (wanted at most 2: kept)"),
        (Comparison(SPEED, "ours", "java", "at most", 1.8), "2.00 x java (wanted at most 1.8: MISSED)"),
        (Comparison(SPEED, "ours", wanted="at least", limit=60_001), "wanted at least 60,001: MISSED"),
    ],
)
def test_a_missed_limit_says_so(results: Results, comparison: Comparison, shown: str) -> None:
    """A value on the wrong side of its limit is shown as missed."""
    assert str(outcome(results, comparison)) == shown


def test_what_was_not_measured_is_not_compared(results: Results) -> None:
    """Without one of the two candidates there is no outcome."""
    assert Comparison(SPEED, "ours", "nobody").outcome(results) is None
    assert Comparison(SPEED, "nobody", "java").outcome(results) is None


def test_no_candidate_is_compared_twice_with_the_same() -> None:
    """Each pair of candidates is compared once for each quantity."""
    found = [(one.quantity, one.candidate, one.beside) for one in comparisons(FULL)]
    assert len(set(found)) == len(found)


def test_the_table_says_what_is_compared_with_what(results: Results) -> None:
    """A row has the median, the spread and every comparison of one candidate; a quantity is named once."""
    found = [outcome(results, Comparison(SPEED, "ours", "java"))]
    cells = rows(results.measures(), found)
    assert cells == [
        ["events/s", "ours", "60,000", "10,000..66,000", "2.00 x java"],
        ["", "java", "30,000", "29,000..30,000", ""],
    ]
    assert for_markdown(cells).splitlines()[0] == "| " + " | ".join(COLUMNS) + " |"
    assert len(for_markdown(cells).splitlines()) == 4


def test_the_data_has_every_round(results: Results) -> None:
    """results.json has the values of all rounds, the comparisons with their limits, and the circumstances."""
    found = [outcome(results, Comparison(SPEED, "ours", "java", "at least", 2.2))]
    data = for_json(results.measures(), found, {"machine": "two cores"})
    assert data["machine"] == "two cores"
    assert [one["rounds"] for one in data["measures"]] == [[60_000, 66_000, 10_000], [30_000, 30_000, 29_000]]
    assert [(one["limit"], one["kept"]) for one in data["comparisons"]] == [(2.2, False)]


def test_only_what_is_between_the_marks_is_written(tmp_path: Path) -> None:
    """The text that was written by hand stays, and a second writing replaces the first."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{begin('make it')}\nold\n{END}\nafter\n")
    for text in ("new", "newer"):
        write_between_marks(page, "make it", text)
    assert page.read_text() == f"before\n{begin('make it')}\n\nnewer\n\n{END}\nafter\n"


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    """A page that lacks its marks is an error, and keeps its text."""
    page = tmp_path / "page.md"
    page.write_text("text")
    with pytest.raises(ValueError, match="marks"):
        write_between_marks(page, "make it", "new")
    assert page.read_text() == "text"


@pytest.mark.parametrize(("page", "command"), [(PAGE, COMMAND), (SIZING_PAGE, SIZING_COMMAND)])
def test_the_pages_have_their_marks(page: Path, command: str) -> None:
    """RESULTS.md and docs/sizing.md can be written."""
    text = page.read_text(encoding="utf-8")
    assert text.index(begin(command)) < text.index(END)


def test_the_budgets_leave_time_to_warm_up() -> None:
    """All parts together leave half a minute of the planned time for the servers' start and the warm-up."""
    assert sum(part.budget for part in PARTS.values()) <= PLANNED - 30
