"""`bridge check`: tests everything that the bridge depends on, and prints a table of the results."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from bridge.commands.checks.finding import Finding, Outcome
from bridge.commands.checks.kafka import check_kafka
from bridge.commands.checks.registry import check_registry
from bridge.commands.checks.state_dir import check_state_dir
from bridge.commands.checks.web_services import check_web_services
from bridge.commands.output.views import in_cell, visible
from bridge.commands.process import run_to_end
from bridge.observability import configure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from bridge.settings import Settings

STYLES: Final = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.FAILED: "bold red", Outcome.SKIPPED: "dim"}


def run_check(settings: Settings) -> bool:
    """Run all checks, print their findings, and return whether none has failed.

    The checks use a separate CometD session, separate cookies and a separate transactional id. So they do not disturb a
    running bridge.
    """
    configure("console", "error")
    logging.getLogger("bridge").setLevel(logging.CRITICAL)  # the table shows the same failures
    findings = run_to_end(_check(settings))
    _print(Console(), findings)
    return all(finding.outcome is not Outcome.FAILED for finding in findings)


async def _check(settings: Settings) -> list[Finding]:
    """Check every account, Kafka, the schema registry and the state directory, all at the same time."""
    sides = [check_web_services(settings.web_services, account) for account in settings.accounts]
    names = [account.name for account in settings.accounts]
    kafka = check_kafka(settings.kafka, names, in_fleet=settings.fleet.enabled)
    shared = (kafka, check_registry(settings.kafka), check_state_dir(settings.state_dir))
    found = await asyncio.gather(*(_all(side) for side in (*sides, *shared)))
    several = len(settings.accounts) > 1
    findings = []
    for account, side in zip(settings.accounts, found, strict=False):
        findings += [
            Finding(f"{account.name}: {one.subject}" if several else one.subject, one.outcome, one.text) for one in side
        ]
    return findings + [one for side in found[len(sides) :] for one in side]


async def _all(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]


def _print(console: Console, findings: Iterable[Finding]) -> None:
    if not console.is_terminal:
        for finding in findings:
            text = visible(finding.text, longest=None)
            print(f"{finding.outcome:8} {visible(finding.subject):18} {text}")  # noqa: T201 -- the command's output
        return
    table = Table()
    for name in ("", "check", "found"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        table.add_row(
            finding.outcome.value, in_cell(finding.subject), in_cell(finding.text), style=STYLES[finding.outcome]
        )
    console.print(table)
