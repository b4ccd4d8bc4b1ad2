"""What the documentation says of the tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_proof_that_the_delivery_page_names_exists() -> None:
    """Every test that docs/delivery.md gives as proof is one of the suite."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")))
    tests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py"))
    assert len(named) > 10
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []
