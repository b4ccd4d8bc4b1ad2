"""Test tools that are no Python packages: found, or the test says how to get them."""

import os
import shutil
from pathlib import Path

import pytest

BIN = Path(__file__).parent / ".build" / "bin"


def require_tool(name: str, remedy: str = "run the scripts in tests/tools") -> str:
    """Return the path of a tool; without it skip the running test, or fail it with BRIDGE_REQUIRE_REAL=1 (CI)."""
    found = shutil.which(name, path=os.pathsep.join([str(BIN), os.environ.get("PATH", "")]))
    if found is not None:
        return found
    advice = f"{name} is missing: {remedy}"
    if os.environ.get("BRIDGE_REQUIRE_REAL") == "1":
        pytest.fail(advice, pytrace=False)
    pytest.skip(advice)
