"""Runs `bridge run` as a child of the demo. The child ends at once if the demo is gone, however the demo ended."""

from __future__ import annotations

import os
import sys
from threading import Thread

from bridge.cli import main


def _end_with_the_demo() -> None:
    """Wait for the end of standard input, which the demo holds open and never writes to."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    Thread(target=_end_with_the_demo, daemon=True).start()
    sys.argv = ["bridge", "run"]
    main()
