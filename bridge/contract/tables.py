"""Generates the section on each kind in docs/events.md: topic, key, headers, fields, and an example record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridge.contract.asyncapi import DEFAULT_PREFIX
from bridge.contract.examples import example_of
from bridge.contract.fields import record_of
from bridge.contract.headers import headers_of
from bridge.events import CONTRACT_KINDS, full_topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.contract.fields import Field, Record
    from bridge.events import Kind

_END: Final = "<!-- end -->"
_LONGEST_EXAMPLE: Final = 60
"""Maximum characters of an example in the table. Longer examples are in the record below the table."""


def with_tables(page: str) -> str:
    """Return the page with new text between its markers.

    Raises:
        ValueError: a kind has no markers on the page.
    """
    for kind in CONTRACT_KINDS:
        marker = f"<!-- {kind.path} -->"
        before, found, rest = page.partition(marker)
        _, ended, after = rest.partition(_END)
        if not (found and ended):
            raise ValueError(f"the page needs {marker} and, after it, {_END}")
        page = f"{before}{marker}\n{_block(kind)}\n{_END}{after}"
    return page


def _block(kind: Kind) -> str:
    topic = full_topic(DEFAULT_PREFIX, kind.topic)
    example = example_of(kind)
    value = msgspec.json.decode(example.value)
    headers = {name: header.decode() for name, header in example.headers}
    record = {"topic": topic, "key": example.key.decode(), "headers": headers, "value": value}
    return "\n".join(
        [
            f"Topic `{topic}`; key: {kind.key}. Schemas: `schemas/{kind.path}.json` and `.avsc`.",
            "",
            "| header | meaning | value |",
            "|---|---|---|",
            *_header_rows(kind),
            "",
            "| field | type | meaning | example |",
            "|---|---|---|---|",
            *_field_rows(record_of(kind.struct), value),
            "",
            "```json",
            json.dumps(record, indent=2, ensure_ascii=False),
            "```",
        ]
    )


def _header_rows(kind: Kind) -> Iterator[str]:
    example = dict(example_of(kind).headers)
    for header in headers_of(kind):
        value = example.get(header.name, b"").decode()
        yield f"| `{header.name}` | {header.description} | {f'`{value}`' if value else ''} |"


def _field_rows(record: Record, example: Any, parent: str = "") -> Iterator[str]:
    for field in record.fields:
        value = None if example is None else example.get(field.name)
        shown = _cell(field.keywords["examples"][0] if value is None and "examples" in field.keywords else value)
        yield f"| `{parent}{field.name}` | {_type(field)} | {_escaped(field.description)} | {shown} |"
        if field.record is not None:
            yield from _field_rows(field.record, value, f"{parent}{field.name}.")


def _type(field: Field) -> str:
    names = {"json": "object" if "object" in field.keywords.get("type", ()) else "any JSON", "record": "object"}
    type_ = names.get(field.form, field.form)
    if field.symbols:
        type_ = f"one of {', '.join(f'`{symbol}`' for symbol in field.symbols)}"
    elif field.keywords.get("format") == "date-time":
        type_ = "time"
    return f"{type_}, or null" if field.nullable else type_


def _cell(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{_escaped(text)}`" if value is not None and len(text) <= _LONGEST_EXAMPLE else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
