"""Checks whether the bridge can write to BRIDGE_STATE_DIR, if this setting is set."""

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
CLOSE_IT: Final = "remove this right (chmod o-w), unless no other user can reach the directory"


async def check_state_dir(directory: Path | None) -> AsyncIterator[Finding]:
    """Write a file to the directory and remove it. A missing directory is created, as at the start of the bridge."""
    if directory is None:
        return
    try:
        await asyncio.to_thread(make_writable, directory)
    except InFlightUnwritable as error:
        yield failed(STATE_DIR, f"BRIDGE_STATE_DIR: {error}.")
        return
    if await asyncio.to_thread(is_open_to_others, directory):
        yield warning(STATE_DIR, f"{directory} can be written by every user of this machine; {CLOSE_IT}.")
    else:
        yield ok(STATE_DIR, f"{directory} can be written.")
