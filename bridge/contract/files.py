"""The generated files of the contract in the repository. `make schemas` writes these files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridge.contract.asyncapi import asyncapi
from bridge.contract.avro import avro_schema
from bridge.contract.json_schema import json_schema
from bridge.contract.tables import with_tables
from bridge.events import CONTRACT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PAGE: Final = "docs/events.md"


def schema_texts() -> Iterator[tuple[str, str]]:
    """Yield the path (relative to `schemas/`) and the text of each schema file."""
    for kind in CONTRACT_KINDS:
        yield f"{kind.path}.json", _as_text(json_schema(kind))
        yield f"{kind.path}.avsc", _as_text(avro_schema(kind))


def contract_files(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of each file with generated content in the checkout at `root`."""
    for name, text in schema_texts():
        yield root / "schemas" / name, text
    yield root / "schemas" / "asyncapi.yaml", msgspec.yaml.encode(asyncapi()).decode()
    page = root / _PAGE
    yield page, with_tables(page.read_text(encoding="utf-8"))


def _as_text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
