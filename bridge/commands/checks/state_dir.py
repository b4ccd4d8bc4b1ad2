"""Whether the directory of the in-flight files can be used, where one is set."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bridge.commands.checks.finding import failed, ok
from bridge.errors import InFlightUnwritable
from bridge.relay import make_writable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bridge.commands.checks.finding import Finding

STATE_DIR: Final = "state directory"


async def check_state_dir(directory: Path | None) -> AsyncIterator[Finding]:
    """Write a file there and remove it. As at the start of the bridge the directory is made where it is missing."""
    if directory is None:
        return
    try:
        await asyncio.to_thread(make_writable, directory)
    except InFlightUnwritable as error:
        yield failed(STATE_DIR, f"BRIDGE_STATE_DIR: {error}.")
    else:
        yield ok(STATE_DIR, f"{directory} can be written.")
