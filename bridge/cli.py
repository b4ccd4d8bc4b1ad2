"""The `bridge` command: reads arguments and settings, calls `bridge.commands`, and turns failures into exit codes.

Exit codes: 0 done, 1 failed, 2 wrong settings or arguments.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bridge import __version__, commands, settings
from bridge.errors import BridgeError, SettingsError
from bridge.observability import printable

FAILED = 1
WRONG_SETTINGS = 2


class LogLevel(StrEnum):
    """How much the log says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Language(StrEnum):
    """What models can be written in; other languages have generators for the schemas."""

    PYTHON = "python"


class Commands(TyperGroup):
    """Ends a command that raises one of the bridge's errors with its text on standard error, and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Call the command."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for fault in error.faults:
                typer.echo(_lines(fault), err=True)
            raise typer.Exit(WRONG_SETTINGS) from None
        except BridgeError as error:
            typer.echo(_lines(str(error)), err=True)
            raise typer.Exit(FAILED) from None


def _lines(text: str) -> str:
    """Return a text of several lines without what would steer a terminal: an error may repeat what a server said."""
    return "\n".join(map(printable, text.split("\n")))


# No pretty exceptions: they would show local variables, and with them secrets.
app = typer.Typer(
    cls=Commands,
    name="bridge",
    help="CometD to Kafka bridge for Genesys Web Services.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

schemas = typer.Typer(name="schemas", help="The schemas of the published values.", no_args_is_help=True)
dead_letters = typer.Typer(name="dead-letters", help="What Kafka refused.", no_args_is_help=True)
app.add_typer(schemas)
app.add_typer(dead_letters)

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file with settings; BRIDGE_* variables win over it."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output, nothing else.")]
Events = Annotated[int | None, typer.Option("--events", min=1, metavar="N", help="End after N events.")]


def _version(wanted: bool) -> None:  # noqa: FBT001 -- typer's signature
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def bridge(
    context: typer.Context,
    *,
    config: Config = None,
    version: Annotated[  # noqa: ARG001 -- its callback has acted
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """CometD to Kafka bridge for Genesys Web Services."""
    context.obj = config


def _settings(context: typer.Context, config: Path | None) -> settings.Settings:
    """Read the settings; the command's own --config wins over the one before the command."""
    return settings.load(config or context.find_root().obj)


@app.command()
def run(
    context: typer.Context,
    *,
    config: Config = None,
    disconnect_on_exit: Annotated[
        bool,
        typer.Option(
            "--disconnect-on-exit",
            help="End the CometD sessions on a planned stop. Use it when no other bridge takes over.",
        ),
    ] = False,
    linger: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Seconds to stay idle after a takeover, so that a supervisor doesn't restart the bridge at once.",
        ),
    ] = 0.0,
) -> None:
    """Run the bridge."""
    try:
        wanted = _settings(context, config)
    except SettingsError as error:
        raise SettingsError([*error.faults, "To see the bridge at work without any settings: make demo"]) from None
    commands.run_bridge(wanted, disconnect_on_exit=disconnect_on_exit, linger=linger)


@app.command()
def health(
    context: typer.Context,
    *,
    config: Config = None,
    ready: Annotated[bool, typer.Option("--ready", help="Also whether everything that it needs is there.")] = False,
) -> None:
    """Ask the bridge that runs with these settings whether it is alive; exit code 1 if not."""
    typer.echo(commands.ask_health(_settings(context, config).http, ready=ready))


@app.command()
def demo(
    *,
    events: Events = None,
    json: Json = False,
    log_level: Annotated[LogLevel, typer.Option(help="Level of the log on standard error.")] = LogLevel.WARNING,
) -> None:
    """Show the whole path on embedded defaults: real calls, and the events as read back from Kafka."""
    commands.run_demo(events=events, as_json=json, log=settings.Log(format="console", level=log_level.value))


@app.command()
def simulate(
    *,
    host: Annotated[
        str, typer.Option(help="Listening on another address than loopback lets others use and control the simulator.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 0,
    username: Annotated[str, typer.Option(help="The account.")] = "agent",
    password: Annotated[str, typer.Option(help="Its password.")] = "secret",  # noqa: S107 -- the stand-in's
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:ON:TIMES", help="Switch a fault on, such as html-503:connect:3. Repeatable."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0, help="Events a second that it sends of its own.")] = 0.0,
) -> None:
    """Serve a stand-in Web Services."""
    try:
        faults = commands.read_faults(fault or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fault") from None
    commands.run_simulator(host=host, port=port, username=username, password=password, faults=faults, rate=rate)


@app.command()
def check(context: typer.Context, *, config: Config = None) -> None:
    """Tell whether each thing that the bridge needs works; exit code 1 if one does not."""
    if not commands.run_check(_settings(context, config)):
        raise typer.Exit(FAILED)


@app.command()
def tail(
    context: typer.Context,
    *,
    config: Config = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="A topic such as user-events.v1; repeatable. Default: all event topics.")
    ] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Also the events that are there.")] = False,
    events: Events = None,
    json: Json = False,
) -> None:
    """Print the published events as they come."""
    wanted = _settings(context, config)
    commands.run_tail(wanted, topic or [], from_beginning=from_beginning, events=events, as_json=json)


@schemas.command("list")
def schemas_list() -> None:
    """List the schemas of the published values."""
    for line in commands.list_schemas():
        typer.echo(line)


@schemas.command("show")
def schemas_show(name: Annotated[str, typer.Argument(help="Such as acknowledgement.")]) -> None:
    """Print one schema."""
    typer.echo(commands.show_schema(name))


@schemas.command("check")
def schemas_check() -> None:
    """Tell whether the schemas keep to their last release; exit code 1 if a change breaks readers."""
    typer.echo(commands.check_schemas())


@schemas.command("models")
def schemas_models(
    *,
    language: Annotated[Language, typer.Option(help="Of the models.")] = Language.PYTHON,  # noqa: ARG001 -- the only one
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: standard output.")] = None,
) -> None:
    """Write typed models of all events, for those who read them; needs the extra `models`."""
    typer.echo(commands.write_models(output))


@dead_letters.command("list")
def dead_letters_list(context: typer.Context, *, config: Config = None, json: Json = False) -> None:
    """List what Kafka refused, with the reason."""
    commands.list_dead_letters(_settings(context, config), as_json=json)


def main() -> None:
    """Run the command that the process was started as."""
    app()
