"""Fetches a version of a neighbour, and notes what a test tells of it."""

import asyncio
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real import require_real_parts

HERE = Path(__file__).parent
BUILD = HERE / ".build"
INSTALL_DEADLINE = 600
PART = "part"
"""The recorded property of a test that names a neighbour and its version: a row of the table."""
RESULT = "result"
"""The recorded property that replaces the word "works" in the table, or says why a test was skipped."""
_TOOL_MISSING = 3

Note = Callable[[str, object], None]
"""pytest's fixture `record_property`."""


def suite_version(part: str) -> str:
    """Return the version of "kafka" or "cometd" that the test suite uses."""
    pom = HERE.parent / "real" / part / "pom.xml"
    found = re.search(rf"<{part}\.version>(.+)</", pom.read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


async def install(note: Note, part: str, *version: str) -> None:
    """Install a version, if it is not there. Skips the running test, as `require_real_parts`, without Java and Maven.

    Skips it too, and notes the reason, where this version needs a tool that is missing here or is too old.
    """
    require_real_parts()
    done = await asyncio.to_thread(
        subprocess.run,
        [str(HERE / "install"), part, *version],
        capture_output=True,
        text=True,
        timeout=INSTALL_DEADLINE,
        check=False,
    )
    if done.returncode == _TOOL_MISSING:
        unavailable(note, done.stderr.strip().rpartition("\n")[2].removeprefix("compatibility: "))
    assert done.returncode == 0, done.stderr


def unavailable(note: Note, reason: str) -> None:
    """Skip the running test; its row says that it was not tried, and why."""
    note(RESULT, f"not tried: {reason}")
    pytest.skip(reason)
