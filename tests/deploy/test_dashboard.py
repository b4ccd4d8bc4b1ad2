"""The Grafana dashboard: what is committed, and whether every panel shows something.

The bridge goes through its troubles once, or with BRIDGE_DASHBOARD_SECONDS=180 again and again for three minutes.
"""

import asyncio
import json
import math
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deploy.grafana import dashboard
from tests.deploy.prometheus_server import PrometheusServer
from tests.deploy.promtool import run_tool
from tests.deploy.troubled_run import troubled_run
from tests.real import RealKafka

COMMITTED = Path(dashboard.__file__).parents[1] / "bridge.json"
SECONDS = float(os.environ.get("BRIDGE_DASHBOARD_SECONDS", "0"))
QUIET = 30.0
"""Seconds between two rounds of trouble: after each session that is soon lost the bridge waits longer for the next."""
VARIABLES = {"$__rate_interval": "5s", "$account": ".*", "$instance": ".*"}
BOARD: dict[str, Any] = json.loads(dashboard.text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def expression(text: str) -> str:
    """What Grafana makes of an expression, with All chosen and a scrape a second."""
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in text, f"a variable that no test fills in: {text}"
    return text


def expressions(panel: dict[str, Any]) -> list[str]:
    return [expression(target["expr"]) for target in panel["targets"]]


def titles(panel: dict[str, Any]) -> str:
    return str(panel["title"])


@dataclass(frozen=True)
class Watched:
    """What Prometheus has seen of the troubled run, and the bridge's metrics at its end."""

    prometheus: PrometheusServer
    start: float
    end: float
    page: bytes

    async def values(self, query: str) -> Iterator[float]:
        """All that a graph of the run would show; NaN is no point in it."""
        series = await self.prometheus.range(query, self.start, self.end)
        numbers = (float(value) for one in series for _, value in one["values"])
        return (number for number in numbers if not math.isnan(number))


@pytest_asyncio.fixture(scope="module")
async def watched(own_kafka: RealKafka, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    directory = tmp_path_factory.mktemp("dashboard")
    async with (
        troubled_run(own_kafka, directory) as run,
        PrometheusServer(directory, run.bridge.url.removeprefix("http://")) as prometheus,
    ):
        start = time.time()
        async with run.traffic():
            await run.go(prometheus.caught_up)
            while time.time() < start + SECONDS:
                await asyncio.sleep(QUIET)
                await run.go(prometheus.caught_up)
            _, page = await run.bridge.get("/metrics")
        await prometheus.caught_up()
        yield Watched(prometheus, start, time.time(), page)


def test_the_committed_dashboard_is_what_the_code_makes() -> None:
    """`make dashboard` changes nothing."""
    assert COMMITTED.read_text(encoding="utf-8") == dashboard.text()


@pytest.mark.parametrize("panel", PANELS, ids=titles)
def test_a_panel_says_what_good_looks_like(panel: dict[str, Any]) -> None:
    """Each panel has a unit, and a description for somebody who sees it for the first time."""
    assert "Good: " in panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]


def test_panels_fill_the_grid_without_overlap() -> None:
    """No two panels share a place, and none hangs over the edge."""
    taken: dict[tuple[int, int], str] = {}
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        for place in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert place[0] < 24, panel["title"]
            assert taken.setdefault(place, panel["title"]) == panel["title"]


def test_every_expression_parses(tmp_path: Path) -> None:
    """Prometheus can read every expression of the dashboard."""
    found = [text for panel in PANELS for text in expressions(panel)]
    found += [expression(one["expr"]) for one in BOARD["annotations"]["list"]]
    rules = [{"record": f"dashboard:expression:{number}", "expr": text} for number, text in enumerate(found)]
    path = tmp_path / "expressions.yaml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    status, told = run_tool("promtool", "check", "rules", path)
    assert status == 0, told
    assert len(found) > len(PANELS)


@pytest.mark.parametrize("panel", PANELS, ids=titles)
async def test_no_panel_is_empty(watched: Watched, panel: dict[str, Any]) -> None:
    """After a run with faults every expression of a panel has points, and some are not 0: the trouble shows."""
    points = {query: list(await watched.values(query)) for query in expressions(panel)}
    assert [query for query, values in points.items() if not values] == []
    assert any(value != 0 for values in points.values() for value in values)


async def test_the_annotation_marks_the_gap(watched: Watched) -> None:
    """A gap shows as a mark across all panels."""
    [gaps] = BOARD["annotations"]["list"]
    assert list(await watched.values(expression(gaps["expr"])))


async def test_variables_offer_the_accounts_and_the_process(watched: Watched) -> None:
    """The choices are the accounts and the processes that Prometheus has seen."""
    offered = {}
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert asked is not None
            offered[variable["name"]] = await watched.prometheus.label_values(*asked.groups())
    assert offered["account"] == ["care", "locked", "sales"]
    assert len(offered["instance"]) == 1


async def test_every_rule_evaluates(watched: Watched) -> None:
    """No rule fails on live data (a many-to-many match shows only there), and the troubles of the run fire alerts."""
    rules = await watched.prometheus.rules()
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    firing = {rule["name"] for rule in rules if rule["type"] == "alerting" and rule["state"] == "firing"}
    assert firing >= {"BridgeGap", "BridgeDeadLetters", "BridgeUnrecognizedMessages"}


async def test_metrics_pass_promtool(watched: Watched) -> None:
    """The /metrics page of a bridge in use has no finding of promtool's linter."""
    assert run_tool("promtool", "check", "metrics", stdin=watched.page) == (0, "")
