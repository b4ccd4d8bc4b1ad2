"""Fixtures of the compatibility runs, and their results, which `--results` writes to docs/compatibility.md."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.compatibility.parts import PART, RESULT

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the page."""
    parser.addoption("--results", action="store_true", help="write docs/compatibility.md")


class Results:
    """The outcome of each part. A skipped test leaves a row only if it noted a reason, and no older result is there."""

    def __init__(self) -> None:
        self._outcomes: dict[str, str] = {}
        self._reasons: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome of a test that names its part."""
        noted = {name: str(value) for name, value in report.user_properties}
        if PART not in noted:
            return
        if report.failed:
            self._outcomes[noted[PART]] = "failed"
        elif report.when == "call" and report.passed:
            self._outcomes[noted[PART]] = noted.get(RESULT, "works")
        elif report.skipped and RESULT in noted:
            self._reasons[noted[PART]] = noted[RESULT]

    def pytest_sessionfinish(self) -> None:
        """Replace the table of the page. A run of only some tests keeps the rows of the others."""
        day = datetime.now(UTC).date().isoformat()
        text = PAGE.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        table, _, tail = rest.partition(END)
        rows = dict(line.strip("| ").split(" | ", 1) for line in table.splitlines()[3:] if line.startswith("|"))
        rows = {part: f"{reason} | {day}" for part, reason in self._reasons.items()} | rows
        rows |= {part: f"{outcome} | {day}" for part, outcome in self._outcomes.items()}
        lines = [f"| {part} | {outcome} |" for part, outcome in sorted(rows.items(), key=_in_order)]
        table = "\n".join(["| with | result | date |", "|---|---|---|", *lines])
        PAGE.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")


def _in_order(row: tuple[str, str]) -> str:
    return row[0].casefold()


def pytest_configure(config: pytest.Config) -> None:
    """Write the page at the end, if the option is given."""
    if config.getoption("--results", default=False):
        config.pluginmanager.register(Results())
