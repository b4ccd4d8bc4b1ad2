"""The AsyncAPI and OpenAPI documents, judged by the parser and the linter of their own communities."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from bridge.contract import asyncapi
from tests.tools.required import require_tool

ROOT = Path(__file__).parents[2]
ASYNCAPI = ROOT / "schemas" / "asyncapi.yaml"
OPENAPI = ROOT / "docs" / "openapi.json"
RULES = ROOT / "tests" / "tools" / "node" / "spectral.yaml"
ERROR = 0
DEADLINE = 120


def errors_by_parser(document: Path) -> list[str]:
    """What AsyncAPI's parser has against the document; its exit code says the same."""
    done = subprocess.run(
        [require_tool("asyncapi-parser"), document], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    found = [one["message"] for one in json.loads(done.stdout) if one["severity"] == ERROR]
    assert bool(done.returncode) == bool(found), done.stderr
    return found


def errors_by_spectral(document: Path) -> list[str]:
    """What Spectral has against the document; its exit code says the same."""
    command = [require_tool("spectral"), "lint", "--quiet", f"--ruleset={RULES}", "--format=json", str(document)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    found = [one["message"] for one in json.loads(done.stdout) if one["severity"] == ERROR]
    assert bool(done.returncode) == bool(found), done.stderr
    return found


def test_the_parser_finds_no_error() -> None:
    """@asyncapi/parser takes the document, and has no error against it."""
    assert errors_by_parser(ASYNCAPI) == []


@pytest.mark.parametrize("document", [ASYNCAPI, OPENAPI], ids=lambda path: path.name)
def test_spectral_finds_no_error(document: Path) -> None:
    """Spectral's own rules for AsyncAPI and OpenAPI find no error."""
    assert errors_by_spectral(document) == []


def test_the_judges_find_what_is_wrong(tmp_path: Path) -> None:
    """Both judge what is there: a message that leads nowhere, and a path parameter that nobody declares, are errors."""
    document = asyncapi()
    del document["components"]["messages"]["session-v1"]
    broken = tmp_path / "asyncapi.json"
    broken.write_bytes(msgspec.json.encode(document))
    assert errors_by_parser(broken)
    openapi = tmp_path / "openapi.json"
    text = OPENAPI.read_text(encoding="utf-8")
    openapi.write_text(text.replace("/operations/{referenceId}", "/operations/{another}"), encoding="utf-8")
    assert errors_by_spectral(openapi)
