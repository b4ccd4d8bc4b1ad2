"""Makes the renaming and the deletion of files durable."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Write the directory's entries to the disk, so that a file that was renamed or deleted stays so after a crash.

    Raises:
        OSError: the directory can't be opened, or the disk reports an error.
    """
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
