"""Whether the directory of the in-flight files can be used, where one is set."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bridge.commands.checks.finding import failed, ok, warning
from bridge.errors import InFlightUnwritable
from bridge.relay import is_open_to_others, make_writable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bridge.commands.checks.finding import Finding

STATE_DIR: Final = "state directory"
CLOSE_IT: Final = "take that right away (chmod o-w), unless no other user can reach the directory"


async def check_state_dir(directory: Path | None) -> AsyncIterator[Finding]:
    """Write a file there and remove it. As at the start of the bridge the directory is made where it is missing."""
    if directory is None:
        return
    try:
        await asyncio.to_thread(make_writable, directory)
    except InFlightUnwritable as error:
        yield failed(STATE_DIR, f"BRIDGE_STATE_DIR: {error}.")
        return
    if await asyncio.to_thread(is_open_to_others, directory):
        yield warning(STATE_DIR, f"{directory} can be written, but by every user of this machine; {CLOSE_IT}.")
    else:
        yield ok(STATE_DIR, f"{directory} can be written.")
