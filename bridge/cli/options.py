"""The options of several commands, and the settings from `--config` and the environment."""

from pathlib import Path
from typing import Annotated

import typer

from bridge import settings

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file with settings. Variables BRIDGE_* win over the file."),
]
RootConfig = Annotated[
    Path | None,
    # The options of the commands don't have `envvar`: the variable would win over a --config before the command.
    typer.Option(
        "--config", metavar="FILE", envvar="BRIDGE_CONFIG", help="TOML file with settings, for every command."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print only JSON objects to standard output, one in each line.")]
Events = Annotated[int | None, typer.Option("--events", min=1, metavar="N", help="End after N events.")]
Url = Annotated[str, typer.Option(metavar="URL", help="Address of the running bridge.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File with the bearer token that the bridge asks for."),
]
LOCAL = "http://127.0.0.1:8080"


def read_settings(context: typer.Context, config: Path | None) -> settings.Settings:
    """Read all settings."""
    return settings.load(settings_file(context, config))


def settings_file(context: typer.Context, config: Path | None) -> Path | None:
    """Return the path of the settings file. A --config after the command's name wins over a --config before it."""
    file: Path | None = config or context.find_root().obj
    return file
