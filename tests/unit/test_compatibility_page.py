"""What a run of `make compatibility` writes into docs/compatibility.md."""

from pathlib import Path
from typing import Literal

import pytest

from tests.compatibility import conftest
from tests.compatibility.parts import PART, RESULT

PAGE = """# Compatibility
<!-- results -->
| with | result | date |
|---|---|---|
| CometD 4 | works | 2026-01-02 |
<!-- end of results -->
The end.
"""


def report(outcome: Literal["passed", "failed", "skipped"], **properties: str) -> pytest.TestReport:
    """The report on the call of one test."""
    noted: list[tuple[str, object]] = list(properties.items())
    return pytest.TestReport(
        nodeid="test",
        location=("", 0, ""),
        keywords={},
        outcome=outcome,
        longrepr=None,
        when="call",
        user_properties=noted,
    )


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with one result of an earlier run."""
    place = tmp_path / "compatibility.md"
    place.write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(conftest, "PAGE", place)
    return place


def rows(page: Path, *reports: pytest.TestReport) -> list[str]:
    """The rows after a run with these reports, without their date."""
    results = conftest.Results()
    for one in reports:
        results.pytest_runtest_logreport(one)
    results.pytest_sessionfinish()
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Compatibility\n<!-- results -->\n| with | result | date |\n|---|---|---|\n")
    assert text.endswith("<!-- end of results -->\nThe end.\n")
    return [line.rpartition(" | ")[0] for line in text.splitlines()[4:-2]]


def test_each_part_has_a_row(page: Path) -> None:
    """A run adds a row for each part that it tried, in order, and keeps the rows of the parts that it did not try."""
    tried = [report("passed", **{PART: "nginx"}), report("failed", **{PART: "Apache Kafka 9"})]
    assert rows(page, *tried) == ["| Apache Kafka 9 | failed", "| CometD 4 | works", "| nginx | works"]


def test_a_result_in_words(page: Path) -> None:
    """A test can say what worked; a failed one can't."""
    worded = {PART: "nginx", RESULT: "is told"}
    assert "| nginx | is told" in rows(page, report("passed", **worded))
    assert "| nginx | failed" in rows(page, report("failed", **worded))


def test_a_part_that_could_not_be_tried(page: Path) -> None:
    """It has a row with the reason, unless an earlier run has tried it; a test skipped without a reason has none."""
    skipped = [
        report("skipped", **{PART: "nginx", RESULT: "not tried: it is not installed"}),
        report("skipped", **{PART: "CometD 4", RESULT: "not tried: it is not installed"}),
        report("skipped", **{PART: "Faye"}),
    ]
    assert rows(page, *skipped) == ["| CometD 4 | works", "| nginx | not tried: it is not installed"]
