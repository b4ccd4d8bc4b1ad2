"""The `bridge` command: reads arguments and settings, then calls a function of `bridge.commands`.

Exit codes: 0 for success, 1 for a failure, 2 for wrong settings, arguments or input, 130 after Ctrl-C.
"""

from bridge.cli.commands import app, main

__all__ = ["app", "main"]
