"""`bridge check`: tests everything that the bridge depends on, and prints a table of the results."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console

from bridge.commands.checks.finding import Finding, Outcome
from bridge.commands.checks.kafka import check_kafka
from bridge.commands.checks.output import print_findings, print_json
from bridge.commands.checks.registry import check_registry
from bridge.commands.checks.start import check_start
from bridge.commands.checks.state_dir import check_state_dir
from bridge.commands.checks.web_services import check_web_services
from bridge.commands.output.progress import Progress
from bridge.commands.process import run_to_end
from bridge.observability import configure
from bridge.requests import request_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bridge.settings import Settings


@dataclass(frozen=True, slots=True)
class _Side:
    """A group of checks. The groups run at the same time. While a group runs, standard error shows its `name`."""

    name: str
    findings: AsyncIterator[Finding]
    account: str | None = None


def run_check(settings: Settings, *, as_json: bool = False) -> bool:
    """Run all checks, print their findings, and return whether none has failed.

    The checks use a separate CometD session, separate cookies and a separate transactional id. So the checks do not
    disturb a running bridge. While the checks wait, standard error names the server for which they wait.
    """
    configure("console", "error")
    logging.getLogger("bridge").setLevel(logging.CRITICAL)  # the table shows the same failures
    findings = run_to_end(_check(settings))
    if as_json:
        print_json(findings)
    else:
        print_findings(Console(), findings, several=len(settings.accounts) > 1)
    return all(finding.outcome is not Outcome.FAILED for finding in findings)


async def _check(settings: Settings) -> list[Finding]:
    """Check all sides at the same time. Return the findings in the order of the sides."""
    with Progress("Checking") as progress:
        found = await asyncio.gather(*(_all(side, progress) for side in _sides(settings)))
    return [finding for side in found for finding in side]


def _sides(settings: Settings) -> Iterator[_Side]:
    yield _Side("the settings", check_start(settings))
    for account in settings.accounts:
        findings = check_web_services(settings.web_services, account)
        yield _Side(f"Web Services as {account.name}", findings, account.name)
    kafka = settings.kafka
    accounts = [account.name for account in settings.accounts]
    reads = request_topics(settings)
    findings = check_kafka(kafka, accounts, in_fleet=settings.fleet.enabled, reads=reads)
    yield _Side(f"Kafka at {kafka.bootstrap_servers}", findings)
    yield _Side(f"the schema registry at {kafka.registry.url}", check_registry(kafka))
    yield _Side(f"the directory {settings.state_dir}", check_state_dir(settings.state_dir))


async def _all(side: _Side, progress: Progress) -> list[Finding]:
    with progress.waiting(side.name):
        return [replace(finding, account=side.account) async for finding in side.findings]
