"""Generates the JSON Schema (2020-12) of a kind's value. Additional properties are not allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridge.contract.examples import example_of
from bridge.contract.fields import record_of

if TYPE_CHECKING:
    from bridge.contract.fields import Field, Record
    from bridge.events import Kind

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema(kind: Kind) -> dict[str, Any]:
    """Return the schema of a kind's value."""
    record = record_of(kind.struct)
    return {
        "$schema": _DIALECT,
        "$id": kind.schema,
        "title": kind.name.replace("-", " ").capitalize(),
        "description": record.description,
        "type": "object",
        **_members(record),
        "examples": [msgspec.json.decode(example_of(kind).value)],
    }


def _members(record: Record) -> dict[str, Any]:
    """Return the keywords for a record's fields. Fields that a later release added are optional."""
    return {
        "additionalProperties": False,
        "required": [field.name for field in record.fields if not field.added],
        "properties": {field.name: _property(field) for field in record.fields},
    }


def _property(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": field.description}
    if field.symbols:
        schema["enum"] = [*field.symbols, *([None] if field.nullable else [])]
    elif field.form != "json":
        type_ = "object" if field.record else field.form
        schema["type"] = [type_, "null"] if field.nullable else type_
    if field.record:
        schema |= _members(field.record)
    schema |= field.keywords
    if field.added:
        schema["default"] = field.default
    return schema
