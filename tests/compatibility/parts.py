"""Fetches a version of a neighbour."""

import asyncio
import subprocess
from pathlib import Path

from tests.real import require_real_parts

HERE = Path(__file__).parent
BUILD = HERE / ".build"
INSTALL_DEADLINE = 600


async def install(part: str, *version: str) -> None:
    """Install a version, if it is not there. Skips the running test without Java and Maven, as `require_real_parts`."""
    require_real_parts()
    done = await asyncio.to_thread(
        subprocess.run,
        [str(HERE / "install"), part, *version],
        capture_output=True,
        text=True,
        timeout=INSTALL_DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
