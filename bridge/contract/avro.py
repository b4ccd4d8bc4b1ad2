"""The Avro schema of a kind's value: the same fields, in the same order, under the same names as in JSON.

A nullable field is a union with null, which is its default. Enumerations are strings: `timed-out` is no Avro symbol,
and older readers can't read a symbol that an Avro enum gains. JSON that stays as it came is a string with its text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bridge.contract.fields import record_of

if TYPE_CHECKING:
    from bridge.contract.fields import Field, Record
    from bridge.events import Kind

_TYPES: Final = {"string": "string", "integer": "long", "number": "double", "boolean": "boolean", "json": "string"}


def avro_schema(kind: Kind) -> dict[str, Any]:
    """Return the schema of a kind's value, named `gws.<version>.<struct>`: two versions can be read side by side."""
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
            schema["type"] = [type_, "null"]  # a default is of a union's first type
    return schema


def _doc(field: Field) -> str:
    told = [field.description]
    if field.symbols:
        told.append(f"One of {', '.join(field.symbols)}.")
    if field.form == "json":
        told.append("JSON text.")
    return " ".join(told)
