"""Finds changes of a schema that break consumers: all changes since the last release, except new fields with defaults.

Wider limits count as well, because a consumer may not handle a new enumeration value or a larger number.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Facets: TypeAlias = dict[str, Any]
"""The keywords of one field in a schema."""

_WHOLE: Final = ""
"""The path of the whole schema, in place of a field's path."""
_FREE: Final = frozenset({"$schema", "title", "description", "doc", "examples", "properties", "required", "fields"})
"""Keywords that are not compared. Such keywords restrict no value, or contain fields that are compared one by one."""
_LOWER: Final = frozenset({"minimum", "minLength"})
_UPPER: Final = frozenset({"maximum", "maxLength"})


def breaking_changes(released: str, current: str) -> list[str]:
    """Compare two JSON Schemas, or two Avro schemas, given as text.

    Returns:
        A sentence for each change that breaks consumers: the field and the difference.
    """
    return list(_differences(_facets(json.loads(released)), _facets(json.loads(current))))


def _facets(schema: dict[str, Any]) -> dict[str, Facets]:
    """Return the keywords of each field, by the field's path, such as `upstream.httpStatus`."""
    fields = _json_fields(schema, "") if "properties" in schema else _avro_fields(schema, "")
    return {_WHOLE: _bounding(schema), **dict(fields)}


def _json_fields(schema: dict[str, Any], parent: str) -> Iterator[tuple[str, Facets]]:
    for name, field in schema["properties"].items():
        yield f"{parent}{name}", _bounding(field) | {"required": name in schema.get("required", ())}
        if "properties" in field:
            yield from _json_fields(field, f"{parent}{name}.")


def _avro_fields(record: dict[str, Any], parent: str) -> Iterator[tuple[str, Facets]]:
    for field in record["fields"]:
        name = f"{parent}{field['name']}"
        types = field["type"] if isinstance(field["type"], list) else [field["type"]]
        records = [each for each in types if isinstance(each, dict)]
        facets = _bounding(field) | {"type": [each["name"] if each in records else each for each in types]}
        yield name, {word: value for word, value in facets.items() if word != "name"}
        for each in records:
            yield from _avro_fields(each, f"{name}.")


def _bounding(schema: dict[str, Any]) -> Facets:
    return {word: value for word, value in schema.items() if word not in _FREE}


def _differences(released: Mapping[str, Facets], current: Mapping[str, Facets]) -> Iterator[str]:
    gone = [field for field in released if field not in current]
    new = [field for field in current if field not in released]
    for field in gone:
        if not _within(field, gone):
            twins = [f"`{other}`" for other in new if current[other] == released[field]]
            yield f"`{field}` was {f'renamed to {twins[0]}' if twins else 'removed'}"
    for field in new:
        facets = current[field]
        if not _within(field, new) and ("default" not in facets or facets.get("required")):
            yield f"`{field}` is new and has no default, so older records can't be read"
    for field, facets in released.items():
        if field in current:
            place = "the schema" if field == _WHOLE else f"`{field}`"
            yield from (f"{place} {reason}" for reason in _reasons(facets, current[field]))


def _reasons(released: Facets, current: Facets) -> Iterator[str]:
    for word in sorted(released.keys() | current.keys()):
        before, after = released.get(word), current.get(word)
        if before == after and (word in released) == (word in current):
            continue
        if word == "required":
            yield "is required now" if after else "is no longer required"
        elif word == "enum" and before and after:
            yield from (f"no longer takes {symbol or 'null'}" for symbol in before if symbol not in after)
            yield from (
                f"takes {symbol or 'null'}, which is new to consumers" for symbol in after if symbol not in before
            )
        else:
            yield f"{_verb(word, before, after)} its {word} from {_as_text(before)} to {_as_text(after)}"


def _verb(word: str, before: Any, after: Any) -> str:
    if word not in _LOWER | _UPPER:
        return "changed"
    if before is None or after is None:
        return "narrowed" if before is None else "widened"
    return "narrowed" if (after > before) == (word in _LOWER) else "widened"


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return " or ".join(str(each) for each in value)
    return "none" if value is None else str(value)


def _within(field: str, fields: Collection[str]) -> bool:
    """Return whether `fields` also contains the record around this field. Then only the record is reported."""
    return field.rpartition(".")[0] in fields
