"""The end of every command after Ctrl-C: one line, and the exit code that shells give for SIGINT."""

from __future__ import annotations

import sys
from typing import Final

CODE: Final = 130
"""128 and the number of SIGINT."""


def say(text: str = "Interrupted.") -> None:
    """Write the line. A terminal shows `^C` where the cursor was, so the line begins below it."""
    sys.stderr.write(("\n" if sys.stderr.isatty() else "") + text + "\n")
