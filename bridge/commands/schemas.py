"""`bridge schemas`: shows the schemas of the published values, and compares the schemas with their last release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bridge.contract import broken_promises, python_models
from bridge.errors import CommandFailed, installation_of
from bridge.events import SCHEMA_PREFIX, schema_files, schemas_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Titled(msgspec.Struct):
    title: str = ""


def list_schemas() -> Iterator[str]:
    """Yield a line for each schema with its name, its `$id` (the header `ce_dataschema`) and its title."""
    schemas = schema_files()
    width = max((len(_name(id_)) for id_ in schemas), default=0)
    for id_, text in schemas.items():
        yield f"{_name(id_):{width}}  {id_}  {msgspec.json.decode(text, type=_Titled).title}".rstrip()


def show_schema(name: str) -> str:
    """Return the newest schema with the name `acknowledgement`, `acknowledgement/v1` or an `$id`.

    Raises:
        CommandFailed: no schema has the name.
    """
    schemas = schema_files()
    found = [id_ for id_ in schemas if name in {id_, _name(id_), _name(id_).partition("/")[0]}]
    if not found:
        raise CommandFailed(f"unknown schema; known schemas are {', '.join(_name(id_) for id_ in schemas)}")
    return schemas[found[-1]].rstrip("\n")


def check_schemas() -> str:
    """Compare every schema with its last release. If all schemas are compatible, return a message.

    Raises:
        CommandFailed: a change of a schema breaks readers (one line for each change), or a schema can't be generated.
    """
    try:
        broken = list(broken_promises(schemas_directory()))
    except TypeError as error:
        raise CommandFailed(str(error)) from None
    if broken:
        raise CommandFailed(
            "\n".join([*broken, "Readers would break; make a new version of the schema (docs/events.md, Versions)."])
        )
    return "Compatible: since the last release only fields with defaults were added."


def write_models(output: Path | None) -> str:
    """Write pydantic models of all events to `output`. Return a line to print, or the models if `output` is None.

    Raises:
        CommandFailed: the extra `models` is not installed, or the file can't be written.
    """
    try:
        text = python_models()
    except ImportError:
        raise CommandFailed(f"bridge schemas models needs the extra `models`; {installation_of('models')}") from None
    if output is None:
        return text
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{output} can't be written: {error.strerror}") from None
    return f"Wrote {output}."


def _name(id_: str) -> str:
    return id_.removeprefix(SCHEMA_PREFIX).replace(":", "/")
