"""The files of the contract: generated from the structs, and committed as generated."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bridge.contract.avro import avro_schema
from bridge.contract.files import contract_files
from bridge.events import KINDS, SCHEMA_PREFIX

ROOT = Path(__file__).parents[2]
FILES = {str(path.relative_to(ROOT)): text for path, text in contract_files(ROOT)}


@pytest.mark.parametrize("name", FILES)
def test_committed_files_are_the_generated_ones(name: str) -> None:
    """Each file of the contract says what the structs say now; `make schemas` writes it anew."""
    committed = (ROOT / name).read_text(encoding="utf-8")
    assert committed == FILES[name], f"{name} has drifted: run `make schemas` and commit it"


def test_a_second_version_stands_beside_the_first() -> None:
    """A version more of a kind has an id, files and an Avro name of its own: nothing of v1 is in its way."""
    first = KINDS[0]
    second = msgspec.structs.replace(first, schema=f"{SCHEMA_PREFIX}{first.name}:v2")
    assert (second.path, first.path) == ("acknowledgement/v2", "acknowledgement/v1")
    assert [avro_schema(kind)["namespace"] for kind in (first, second)] == ["gws.v1", "gws.v2"]


def test_a_page_without_its_markers_is_refused(tmp_path: Path) -> None:
    """Where a kind has no place on the page, nothing is written as if all were there."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "events.md").write_text("# The events\n")
    with pytest.raises(ValueError, match="<!-- acknowledgement/v1 -->"):
        list(contract_files(tmp_path))
