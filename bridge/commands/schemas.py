"""`bridge schemas`: the schemas of the published values, and whether they keep to their last release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bridge.contract import broken_promises, python_models
from bridge.errors import CommandFailed
from bridge.events import SCHEMA_PREFIX, schema_files, schemas_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


def check_schemas() -> str:
    """Compare every schema with its last release, and say that all is well.

    Raises:
        CommandFailed: a schema has changed in a way that breaks readers (a line for each), or can't be written out.
    """
    try:
        broken = list(broken_promises(schemas_directory()))
    except TypeError as error:
        raise CommandFailed(str(error)) from None
    if broken:
        raise CommandFailed(
            "\n".join([*broken, "Readers would break: make it a new version (docs/events.md, Versions)."])
        )
    return "Compatible: since the last release only fields with defaults were added."


def write_models(output: Path | None) -> str:
    """Write pydantic models of all events to a file, or return their text where no file is named.

    Raises:
        CommandFailed: the extra `models` is not installed, or the file can't be written.
    """
    try:
        text = python_models()
    except ImportError:
        raise CommandFailed(
            "models need a generator that is not installed: pip install 'cometd-kafka-bridge[models]'"
        ) from None
    if output is None:
        return text
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{output} can't be written: {error.strerror}") from None
    return f"{output} is written."


def _name(id_: str) -> str:
    return id_.removeprefix(SCHEMA_PREFIX).replace(":", "/")
