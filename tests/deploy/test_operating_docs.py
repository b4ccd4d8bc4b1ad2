"""The runbook and the troubleshooting page speak of what the bridge really says, measures and reads."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from bridge.observability import metrics
from tests.deploy.prometheus_server import RULES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = ["runbook.md", "troubleshooting.md"]
SAID = {"it says", "reason", "`code`"}
"""Columns that quote the bridge."""
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "bridge").rglob("*.py")))


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def quoted(text: str) -> Iterator[str]:
    """What the tables quote in the columns of `SAID`."""
    columns: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        columns = columns or cells
        for column, cell in zip(columns, cells, strict=True):
            if column in SAID and cells is not columns:
                yield from re.findall(r"`([^`]+)`", cell)


def test_what_the_tables_quote_is_what_the_bridge_says() -> None:
    """Each quoted reason, code and text stands in the code; a renamed one would be searched for in vain."""
    found = set(quoted(text_of("troubleshooting.md"))) - {"code"}
    assert len(found) > 50
    assert sorted(text for text in found if re.sub(r"^http-\d+$", "http-{", text) not in SOURCE) == []


def test_log_lines_that_the_runbook_names_exist() -> None:
    """Each event that the runbook looks for in the log is one that the bridge writes."""
    named = set(re.findall(r"log lines?,? `([\w-]+)`", text_of("runbook.md"))) | {"cometd-disconnected", "watchdog"}
    assert len(named) > 3
    assert sorted(name for name in named if f'"{name}"' not in SOURCE) == []


@pytest.mark.parametrize("page", PAGES)
def test_metrics_and_settings_exist(page: str) -> None:
    """Each metric, recording rule and setting that a page names is there."""
    text = text_of(page)
    metrics.start("0", ["account"], ["topic"], ["topic"])
    known = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    known |= set(re.findall(r"record: (\S+)", RULES.read_text(encoding="utf-8")))
    named = set(re.findall(r"(?:account:|job:)?bridge_[a-z_]+(?::[a-z0-9_]+)?", text))
    assert sorted(named - known - {"bridge_http_request_seconds_count"}) == []
    settings = set(re.findall(r"BRIDGE_([A-Z_]+)", text))
    fields = {field for setting in settings for field in setting.lower().split("__")}
    assert sorted(field for field in fields if f"{field}:" not in SOURCE) == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Each link within the pages has a target."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        place, _, anchor = target.partition("#")
        assert (DOCS / place).exists(), target
        assert not anchor or place or anchor in anchors, target
