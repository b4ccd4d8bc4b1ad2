"""Generates the Avro schema of a kind's value. Fields, their order and their names are the same as in JSON.

A nullable field is a union with null, and its default is null. Enumerations are strings, because `timed-out` is not a
valid Avro symbol, and because old consumers couldn't read a new symbol. JSON values are strings too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bridge.contract.fields import record_of

if TYPE_CHECKING:
    from bridge.contract.fields import Field, Record
    from bridge.events import Kind

_TYPES: Final = {"string": "string", "integer": "long", "number": "double", "boolean": "boolean", "json": "string"}


def avro_schema(kind: Kind) -> dict[str, Any]:
    """Return the schema of a kind's value.

    The schema's name `gws.<version>.<struct>` lets a consumer use two versions at once.
    """
    record = record_of(kind.struct)
    return {"type": "record", "namespace": f"gws.{kind.version}", **_members(record)}


def _members(record: Record) -> dict[str, Any]:
    return {"name": record.name, "doc": record.description, "fields": [_field(field) for field in record.fields]}


def _field(field: Field) -> dict[str, Any]:
    type_ = {"type": "record", **_members(field.record)} if field.record else _TYPES[field.form]
    schema: dict[str, Any] = {"name": field.name, "doc": _doc(field), "type": type_}
    if field.nullable:
        schema |= {"type": ["null", type_], "default": None}
    if field.added:
        schema["default"] = field.default
        if field.nullable and field.default is not None:
            schema["type"] = [type_, "null"]  # Avro requires that the default has the union's first type
    return schema


def _doc(field: Field) -> str:
    sentences = [field.description]
    if field.symbols:
        sentences.append(f"One of {', '.join(field.symbols)}.")
    if field.form == "json":
        sentences.append("JSON text.")
    return " ".join(sentences)
