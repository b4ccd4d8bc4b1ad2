"""Prints the findings of the checks: as a table on a terminal, otherwise as lines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import msgspec
from rich.table import Table

from bridge.commands.checks.finding import Outcome
from bridge.commands.output.views import in_cell, visible
from bridge.observability import printable_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from bridge.commands.checks.finding import Finding

STYLES: Final = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.FAILED: "bold red", Outcome.SKIPPED: "dim"}


def print_json(findings: Iterable[Finding]) -> None:
    """Print each finding as one JSON object on one line."""
    for finding in findings:
        print(printable_json(msgspec.json.encode(asdict(finding)).decode()))  # noqa: T201 -- the command's output


def print_findings(console: Console, findings: Iterable[Finding], *, several: bool) -> None:
    """Print the findings. If `several` is true, name the account of each finding that concerns an account."""
    rows = [(f"{one.account}: {one.subject}" if several and one.account else one.subject, one) for one in findings]
    if not console.is_terminal:
        for subject, finding in rows:
            text = visible(finding.text, longest=None)
            print(f"{finding.outcome:8} {visible(subject):18} {text}")  # noqa: T201 -- the command's output
        return
    table = Table()
    for name in ("", "check", "found"):
        table.add_column(name, overflow="fold")
    for subject, finding in rows:
        table.add_row(finding.outcome.value, in_cell(subject), in_cell(finding.text), style=STYLES[finding.outcome])
    console.print(table)
