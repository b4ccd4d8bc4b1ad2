"""The Prometheus rules: valid, each alert proven both ways, and each with somewhere to read on."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.prometheus_server import RULES
from tests.deploy.promtool import run_tool

ROOT = Path(__file__).parents[2]
TESTS = sorted((Path(__file__).parent / "rules").glob("*.test.yaml"))
ALERTMANAGER = sorted((ROOT / "deploy" / "prometheus").glob("alertmanager*.y*ml"))
RUNBOOK = ROOT / "docs" / "runbook.md"
RUNBOOK_URL = "https://cometd-kafka-bridge.example/runbook/"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


ALERTS = {rule["alert"]: rule for group in read(RULES)["groups"] for rule in group["rules"] if "alert" in rule}


def anchors() -> set[str]:
    """The anchors that the runbook's headings get, on GitHub as in mkdocs."""
    headings = re.findall(r"^#+ (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_rules_are_valid() -> None:
    """Prometheus accepts the file, and its linter finds nothing."""
    status, told = run_tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert status == 0, told


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_alerts_fire_when_they_should(path: Path) -> None:
    """Each alert fires in its bad times and is silent in the good ones, with the text that a person will read."""
    status, told = run_tool("promtool", "test", "rules", path)
    assert status == 0, told


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_both_ways(alert: str) -> None:
    """Each alert has a scenario in which it fires, and one in which it is silent though its series exist."""
    cases = [
        (scenario, case)
        for path in TESTS
        for scenario in read(path)["tests"]
        for case in scenario["alert_rule_test"]
        if case["alertname"] == alert
    ]
    assert any(case.get("exp_alerts") for _, case in cases)
    assert any(not case.get("exp_alerts") and scenario["input_series"] for scenario, case in cases)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_tells_a_person_what_to_do(alert: str) -> None:
    """Each alert says how urgent it is, what is wrong and what is lost, and leads to its own section of the runbook."""
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    base, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert base == RUNBOOK_URL
    assert anchor == alert.lower()
    assert anchor in anchors()


def test_the_runbook_knows_no_other_alert() -> None:
    """A section about an alert that is gone would mislead."""
    sections = re.findall(r"^## (Bridge\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(sections) == sorted(ALERTS)


def test_alertmanager_accepts_its_configuration() -> None:
    """Whatever routes and receivers the repository has are valid."""
    for path in ALERTMANAGER:
        status, told = run_tool("amtool", "check-config", path)
        assert status == 0, told
