"""Reads the packaged schemas of the published values. `bridge.contract` generates these files from the structs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Identified(msgspec.Struct):
    id: str = msgspec.field(name="$id")


@cache
def schema_files() -> Mapping[str, str]:
    """Return the text of each JSON Schema, by its `$id` (the `ce_dataschema` of the events).

    Raises:
        FileNotFoundError: the installation has no schemas.
    """
    return MappingProxyType({id_: path.read_text(encoding="utf-8") for id_, path in _json_schemas()})


@cache
def avro_schema_files() -> Mapping[str, str]:
    """Return the text of each value's Avro schema, by the `$id` of its JSON Schema.

    Raises:
        FileNotFoundError: the installation has no schemas.
    """
    twins = ((id_, path.with_suffix(".avsc")) for id_, path in _json_schemas())
    return MappingProxyType({id_: path.read_text(encoding="utf-8") for id_, path in twins})


def schemas_directory() -> Path:
    """Return the directory of the schemas: `<kind>/<version>.json` and `.avsc`.

    Raises:
        FileNotFoundError: the installation has no schemas.
    """
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "schemas", package.parent / "schemas"):  # an installation, then a checkout
        if directory.is_dir():
            return directory
    raise FileNotFoundError("the schemas are not installed")


def _json_schemas() -> list[tuple[str, Path]]:
    paths = sorted(schemas_directory().glob("*/v*.json"))
    return [(msgspec.json.decode(path.read_bytes(), type=_Identified).id, path) for path in paths]
