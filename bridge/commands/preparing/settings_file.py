"""`bridge init`: writes a file with every setting."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from bridge.errors import CommandFailed
from bridge.settings import template

if TYPE_CHECKING:
    from pathlib import Path

OWNER_ONLY: Final = 0o600
"""Mode of the file, because somebody may write a password into it."""


def write_settings_file(path: Path) -> str:
    """Write the file, and return a text that says what to do next.

    Raises:
        CommandFailed: the file exists, or can't be written.
    """
    try:
        with open(path, "x", encoding="utf-8", opener=_open_for_owner) as file:
            file.write(template())
    except FileExistsError:
        raise CommandFailed(f"{path} exists, and is not overwritten; name another file") from None
    except OSError as error:
        raise CommandFailed(f"{path} can't be written: {error.strerror}") from None
    return f"Wrote {path}. Fill in the lines without #, then run: bridge --config {path} check"


def _open_for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, OWNER_ONLY)
