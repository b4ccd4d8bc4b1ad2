"""Compares the current schemas with their last release, which is in schemas/released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.contract.compatibility import breaking_changes
from bridge.contract.files import schema_texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def broken_promises(schemas: Path) -> Iterator[str]:
    """Compare each released schema with the schema that is now generated from the event's struct.

    If the directory has a file for the same schema, compare the released schema with that file too. A schema that was
    never released may change freely.

    Args:
        schemas: the directory of the schemas.

    Yields:
        A sentence for each change that breaks consumers: schema, field and reason.

    Raises:
        TypeError: the contract does not support the type of a field.
    """
    generated = dict(schema_texts())
    directory = schemas / "released"
    for path in sorted(directory.glob("*/*")):
        name = path.relative_to(directory).as_posix()
        released = path.read_text(encoding="utf-8")
        if name not in generated:
            yield f"{name} is released, but no event uses it any more"
            continue
        current = [generated[name]]
        if (schemas / name).is_file():
            current.append((schemas / name).read_text(encoding="utf-8"))
        changes = [change for text in current for change in breaking_changes(released, text)]
        yield from (f"{name}: {change}" for change in dict.fromkeys(changes))
