"""What all commands share: the option `--config`, the settings, and the exit codes."""

from pathlib import Path
from typing import Annotated

import typer

from bridge import settings

FAILED = 1
WRONG_SETTINGS = 2

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file with settings. Variables BRIDGE_* win over the file."),
]


def settings_of(context: typer.Context, config: Path | None) -> settings.Settings:
    """Read the settings."""
    return settings.load(file_of(context, config))


def file_of(context: typer.Context, config: Path | None) -> Path | None:
    """Return the file with settings. A --config after the command wins over a --config before the command."""
    file: Path | None = config or context.find_root().obj
    return file
