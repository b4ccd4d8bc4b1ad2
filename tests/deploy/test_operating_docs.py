"""The runbook and the troubleshooting page quote the bridge's own words, log events and metrics."""

import ast
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
QUOTING = {"it says", "reason", "`code`"}
"""The columns that quote the bridge."""
HTTP_STATUS = re.compile(r"http-\d+")
LOG_LEVELS = {"debug", "info", "warning", "error", "exception"}
SOURCES = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "bridge").rglob("*.py"))]
HOLE = "\0"
"""Stands for a value that an f-string puts in."""


def texts_of(tree: ast.Module) -> Iterator[str]:
    """Yield every text that the module can write: its string literals without docstrings, f-strings with holes."""
    in_other_text = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else HOLE for part in node.values)
            yield "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in in_other_text | prose:
            yield node.value


def log_events_of(tree: ast.Module) -> Iterator[str]:
    """Yield the event name of every log call in the module."""
    for call in ast.walk(tree):
        match call:
            case ast.Call(func=ast.Attribute(attr=level), args=[event, *_]) if level in LOG_LEVELS:
                # It may choose between two: "a" if resumed else "b".
                yield from (str(part.value) for part in ast.walk(event) if isinstance(part, ast.Constant))


def says(quoted: str, texts: set[str]) -> bool:
    """Whether the bridge says it: a stable word as a text of its own, a phrase within a text."""
    quoted = f"http-{HOLE}" if HTTP_STATUS.fullmatch(quoted) else quoted.replace("…", HOLE)
    if re.search(r"[ A-Z]", quoted):
        return any(quoted in text for text in texts)
    return quoted in texts or f"{quoted}{HOLE}" in texts


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def quoted_in(text: str) -> Iterator[str]:
    """Yield what the tables of a page quote from the bridge."""
    columns: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        columns = columns or cells
        for column, cell in zip(columns, cells, strict=True):
            if column in QUOTING and cells is not columns:
                yield from re.findall(r"`([^`]+)`", cell)


def test_the_tables_quote_what_the_bridge_says() -> None:
    """Each reason, code and text that a table quotes is one that the bridge still writes."""
    texts = {text for tree in SOURCES for text in texts_of(tree)}
    found = set(quoted_in(text_of("troubleshooting.md")))
    assert len(found) > 50
    assert sorted(quoted for quoted in found if not says(quoted, texts)) == []


@pytest.mark.parametrize(
    ("quoted", "said"),
    [
        ("fenced", True),
        ("fence", False),
        ("nothing but prose", False),
        ("nothing but a comment", False),
        ("is wrong", True),
        ("is right", False),
        ("it … is wrong", True),
        ("it is wrong", False),
        ("http-503", True),
        ("handshake-refused-", True),
    ],
)
def test_a_text_is_found_only_where_the_bridge_says_it(quoted: str, *, said: bool) -> None:
    """Docstrings, comments and parts of other words don't count as said."""
    source = '"""nothing but prose"""\nfenced = "fenced"  # nothing but a comment\n'
    source += 'f"it {fenced} is wrong"\nx = [f"it {fenced} is wrong", f"http-{1}", f"handshake-refused-{1}"]'
    assert says(quoted, set(texts_of(ast.parse(source)))) == said


def test_log_events_that_the_runbook_names_exist() -> None:
    """Each event that the runbook looks for in the log is the event of a log call."""
    events = {event for tree in SOURCES for event in log_events_of(tree)}
    named = set()
    for line in re.findall(r"log lines? ((?:`[\w-]+`[^`.]{0,12})+)", text_of("runbook.md")):
        named |= set(re.findall(r"`([\w-]+)`", line))
    assert len(named) > 3
    assert sorted(named - events) == []


@pytest.mark.parametrize("page", PAGES)
def test_metrics_exist(page: str) -> None:
    """Each metric and recording rule that a page names is one."""
    metrics.start("0", ["topic"])
    metrics.start_account("account", ["topic"])
    known = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    known |= {f"{family.name}_count" for family in REGISTRY.collect() if family.type == "histogram"}
    known |= set(re.findall(r"record: (\S+)", RULES.read_text(encoding="utf-8")))
    named = set(re.findall(r"(?:account:|job:)?bridge_[a-z_]+(?::[a-z0-9_]+)?", text_of(page)))
    assert named
    assert sorted(named - known) == []
