"""The files of the contract: generated from the structs, and committed as generated."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.contract import contract_files

ROOT = Path(__file__).parents[2]
FILES = {str(path.relative_to(ROOT)): text for path, text in contract_files(ROOT)}


@pytest.mark.parametrize("name", FILES)
def test_committed_files_are_the_generated_ones(name: str) -> None:
    """Each file of the contract says what the structs say now; `make schemas` writes it anew."""
    committed = (ROOT / name).read_text(encoding="utf-8")
    assert committed == FILES[name], f"{name} has drifted: run `make schemas` and commit it"
