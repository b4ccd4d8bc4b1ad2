"""The `bridge` command."""

from bridge.cli.program import app, main

__all__ = ["app", "main"]
