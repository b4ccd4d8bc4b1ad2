"""Runs the `bridge` command as `python -m bridge`."""

from bridge.cli import main

main()
