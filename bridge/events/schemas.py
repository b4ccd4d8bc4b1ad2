"""The JSON Schemas of the published values, as packaged: `$id` is what `ce_dataschema` names."""

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
    """Return the text of each schema by its `$id`.

    Raises:
        FileNotFoundError: the installation has no schemas.
    """
    texts = [path.read_text(encoding="utf-8") for path in sorted(_directory().glob("*/*.json"))]
    return MappingProxyType({msgspec.json.decode(text, type=_Identified).id: text for text in texts})


def _directory() -> Path:
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "schemas", package.parent / "schemas"):  # installed; in a checkout
        if directory.is_dir():
            return directory
    raise FileNotFoundError("the schemas are not installed")
