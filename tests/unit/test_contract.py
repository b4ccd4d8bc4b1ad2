"""The files of the contract: generated from the structs, and committed as generated."""

from __future__ import annotations

import pytest

from bridge.contract import schema_texts
from bridge.events import schemas_directory

FILES = dict(schema_texts())


@pytest.mark.parametrize("name", FILES)
def test_committed_files_are_the_generated_ones(name: str) -> None:
    """Each file under schemas/ is what the structs say now; `make schemas` writes it anew."""
    committed = (schemas_directory() / name).read_text(encoding="utf-8")
    assert committed == FILES[name], f"schemas/{name} has drifted: run `make schemas` and commit it"
