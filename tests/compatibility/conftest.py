"""Fixtures of the compatibility runs, and their results, which `--results` writes to docs/compatibility.md."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
PART = "part"
"""The recorded property of a test that names a neighbour and its version."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the page."""
    parser.addoption("--results", action="store_true", help="write docs/compatibility.md")


class Results:
    """The outcome of each part. A test that was skipped leaves no result."""

    def __init__(self) -> None:
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome of a test that names its part."""
        part = dict(report.user_properties).get(PART)
        if part is not None and (report.failed or (report.when == "call" and report.passed)):
            self._outcomes[str(part)] = "failed" if report.failed else "works"

    def pytest_sessionfinish(self) -> None:
        """Replace the table of the page. A run of only some tests keeps the rows of the others."""
        text = PAGE.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        table, _, tail = rest.partition(END)
        rows = dict(line.strip("| ").split(" | ", 1) for line in table.splitlines()[3:] if line.startswith("|"))
        day = datetime.now(UTC).date().isoformat()
        rows |= {part: f"{outcome} | {day}" for part, outcome in self._outcomes.items()}
        lines = [f"| {part} | {outcome} |" for part, outcome in sorted(rows.items())]
        table = "\n".join(["| with | result | date |", "|---|---|---|", *lines])
        PAGE.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Write the page at the end, if the option is given."""
    if config.getoption("--results", default=False):
        config.pluginmanager.register(Results())
