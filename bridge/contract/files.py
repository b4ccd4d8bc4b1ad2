"""The files of the contract, as the repository keeps them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bridge.contract.avro import avro_schema
from bridge.contract.json_schema import json_schema
from bridge.events import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator


def schema_texts() -> Iterator[tuple[str, str]]:
    """Give each schema file's path under `schemas/`, and its text."""
    for kind in KINDS:
        yield f"{kind.name}/{kind.version}.json", _as_text(json_schema(kind))
        yield f"{kind.name}/{kind.version}.avsc", _as_text(avro_schema(kind))


def _as_text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
