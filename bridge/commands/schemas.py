"""`bridge schemas`: the JSON Schemas of the published values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bridge.errors import CommandFailed
from bridge.events import schema_files

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "urn:cometd-kafka-bridge:schema:"


class _Titled(msgspec.Struct):
    title: str = ""


def list_schemas() -> Iterator[str]:
    """Return a line for each schema: its name, its `$id` (the header `ce_dataschema`), its title."""
    schemas = schema_files()
    width = max((len(_name(id_)) for id_ in schemas), default=0)
    for id_, text in schemas.items():
        yield f"{_name(id_):{width}}  {id_}  {msgspec.json.decode(text, type=_Titled).title}".rstrip()


def show_schema(name: str) -> str:
    """Return the schema of that name (`acknowledgement`, `acknowledgement/v1`, or its `$id`); of several the newest.

    Raises:
        CommandFailed: there is none of that name.
    """
    schemas = schema_files()
    found = [id_ for id_ in schemas if name in {id_, _name(id_), _name(id_).partition("/")[0]}]
    if not found:
        raise CommandFailed(f"no schema of that name; there are {', '.join(_name(id_) for id_ in schemas)}")
    return schemas[found[-1]].rstrip("\n")


def _name(id_: str) -> str:
    return id_.removeprefix(_PREFIX).replace(":", "/")
