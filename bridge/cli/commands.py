"""The commands of the bridge."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bridge import __version__, commands, interrupt, settings
from bridge.cli import evidence, preparing, running
from bridge.cli.application import FAILED, Application
from bridge.cli.options import LOCAL, Config, Events, Json, RootConfig, TokenFile, Url, read_settings, settings_file
from bridge.errors import SettingsError

_NO_SETTINGS_NEEDED = "To see the bridge at work without any settings, run: make demo"


class LogLevel(StrEnum):
    """The levels of log lines. Lines below the chosen level are not logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Language(StrEnum):
    """Programming languages in which `bridge schemas models` writes the event models.

    For other languages, use a generator that reads the JSON Schemas.
    """

    PYTHON = "python"


app = Application("bridge", "CometD to Kafka bridge for Genesys Web Services.")
schemas = Application("schemas", "The schemas of the published values.")
dead_letters = Application("dead-letters", "The records that Kafka refused.")
app.add_typer(schemas)
app.add_typer(dead_letters)


def _version(wanted: bool) -> None:  # noqa: FBT001 -- typer's signature
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def bridge(
    context: typer.Context,
    *,
    config: RootConfig = None,
    version: Annotated[  # noqa: ARG001 -- the callback handles it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """CometD to Kafka bridge for Genesys Web Services."""
    context.obj = config


@app.command()
def run(
    context: typer.Context,
    *,
    config: Config = None,
    disconnect_on_exit: Annotated[
        bool,
        typer.Option(
            "--disconnect-on-exit",
            help="End the CometD sessions when a signal stops the bridge. Use it if no other bridge takes over.",
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
        wanted = read_settings(context, config)
    except SettingsError as error:
        if any(fault.endswith(": is required") for fault in error.faults):
            raise SettingsError([*error.faults, _NO_SETTINGS_NEEDED]) from None
        raise
    try:
        commands.run_bridge(wanted, disconnect_on_exit=disconnect_on_exit, linger=linger)
    except KeyboardInterrupt:  # the last lines of the log report the interrupt
        raise typer.Exit(interrupt.CODE) from None


@app.command()
def health(
    context: typer.Context,
    *,
    config: Config = None,
    ready: Annotated[bool, typer.Option("--ready", help="Ask whether the bridge is ready instead.")] = False,
) -> None:
    """Ask the running bridge with these settings whether it is alive. The exit code is 1 if it is not."""
    typer.echo(commands.ask_health(settings.load_http(settings_file(context, config)), ready=ready))


@app.command()
def demo(
    *,
    events: Events = None,
    json: Json = False,
    replicas: Annotated[
        int,
        typer.Option(
            min=1,
            max=4,
            metavar="N",
            help="Show a fleet of N replicas (2 to 4), each a process. One of them is killed, and another takes over.",
        ),
    ] = 1,
    log_level: Annotated[LogLevel, typer.Option(help="Level of the log on standard error.")] = LogLevel.WARNING,
) -> None:
    """Show the bridge with an embedded Kafka and a simulated Web Services: real calls, and their events from Kafka."""
    commands.run_demo(
        limit=events, replicas=replicas, as_json=json, log=settings.Log(format="console", level=log_level.value)
    )


@app.command()
def simulate(
    *,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. On another address than loopback, others can use and control the simulator."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on. 0 means any free port.")] = 0,
    username: Annotated[str, typer.Option(help="User name of the simulated account.")] = "agent",
    password: Annotated[str, typer.Option(help="Password of the simulated account.")] = "secret",  # noqa: S107 -- the simulator's
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:ON:TIMES", help="Switch a fault on, such as html-503:connect:3. Repeatable."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0, help="Events to send each second besides those for calls.")] = 0.0,
    with_kafka: Annotated[
        bool, typer.Option("--with-kafka", help="Also run an embedded broker, which keeps its records in memory.")
    ] = False,
) -> None:
    """Run a simulated Web Services."""
    try:
        faults = commands.read_faults(fault or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fault") from None
    commands.run_simulator(
        host=host, port=port, username=username, password=password, faults=faults, rate=rate, with_kafka=with_kafka
    )


@app.command()
def check(context: typer.Context, *, config: Config = None, json: Json = False) -> None:
    """Check everything that the bridge depends on. The exit code is 1 if a check has failed."""
    if not commands.run_check(read_settings(context, config), as_json=json):
        raise typer.Exit(FAILED)


@app.command()
def tail(
    context: typer.Context,
    *,
    config: Config = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A topic such as user-events. Repeatable. Default: all event topics."),
    ] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest events.")] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Begin with events since then: 30m, 2h, 7d, or a time such as 2026-01-31T12:00Z."
        ),
    ] = None,
    no_follow: Annotated[
        bool,
        typer.Option("--no-follow", help="Print only events that exist now: all, or those since --since. Then end."),
    ] = False,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Only events with this key, such as 134/Campaign1/13.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="REFERENCE", help="Only events with this referenceId.")
    ] = None,
    events: Events = None,
    json: Json = False,
) -> None:
    """Print the published events as they arrive. Needs only the settings of Kafka, and creates no topic."""
    try:
        begin = None if since is None else commands.read_since(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    options = commands.TailOptions(
        topics=topic or (),
        from_beginning=from_beginning,
        since=begin,
        follow=not no_follow,
        key=key,
        reference=reference,
        events=events,
        as_json=json,
    )
    commands.run_tail(settings.load_kafka(settings_file(context, config)), options)


@app.command()
def mark(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="The list: a table, JSON lines, or one phone number on each line. `-` is standard input.",
        ),
    ],
    *,
    url: Url = LOCAL,
    application: Annotated[str | None, typer.Option(help="Application id for rows without one.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Campaign for rows without one.")] = None,
    calling_list: Annotated[str | None, typer.Option("--list", help="Calling list for rows without one.")] = None,
    device: Annotated[str | None, typer.Option(help="Device (id or path) for rows without one.")] = None,
    chain: Annotated[str | None, typer.Option(help="AllChain or RecordOnly, for rows without one.")] = None,
    account: Annotated[
        str | None, typer.Option(help="Account for rows without one. Default: the bridge's first account.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=NAME", help="The column of a field, by name or place, such as phone=Telephone. Repeatable."
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="Country, such as US. Numbers are checked by its numbering plan, and sent as E.164."),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the list. Default: found from its content.")] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Character between columns. Default: found from the first row.")
    ] = None,
    job: Annotated[
        str | None, typer.Option(help="Name of this list. Each referenceId begins with it. Default: the file's name.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for the outcome of each row. Default: FILE.results.csv.")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.01, help="The most rows a second. Default: no limit.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="The most rows at a time.")] = 64,
    patience: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Give up after this time without a usable answer.")
    ] = 300.0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Send rows again that were rejected or timed out.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be sent.")] = False,
    token_file: TokenFile = None,
) -> None:
    """Mark every record of a list as DoNotCall. The same command, run again, continues where the last run ended.

    Exit code 0: all rows are acknowledged. 1: some are not. 2: the list, the results file or an argument can't be used.
    """
    options = commands.MarkOptions(
        file=file,
        url=url,
        job=job,
        results=results,
        columns=column or [],
        defaults={
            "application": application or "",
            "campaign": campaign or "",
            "list": calling_list or "",
            "device": device or "",
            "chain": chain or "",
            "account": account or "",
        },
        region=region,
        encoding=encoding,
        delimiter=delimiter,
        rate=rate,
        concurrency=concurrency,
        patience=patience,
        retry_failed=retry_failed,
        token_file=token_file,
    )
    if not commands.run_mark(options, dry_run=dry_run):
        raise typer.Exit(FAILED)


@schemas.command("list")
def schemas_list() -> None:
    """List the schemas of the published values."""
    for line in commands.list_schemas():
        typer.echo(line)


@schemas.command("show")
def schemas_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the schema, such as acknowledgement.")],
) -> None:
    """Print one schema."""
    typer.echo(commands.show_schema(name))


@schemas.command("check")
def schemas_check() -> None:
    """Compare the schemas with their last release. Exit code 1 means that a change breaks readers."""
    typer.echo(commands.check_schemas())


@schemas.command("models")
def schemas_models(
    *,
    language: Annotated[Language, typer.Option(help="Language of the models.")] = Language.PYTHON,  # noqa: ARG001 -- the only one
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write. Default: stdout.")] = None,
) -> None:
    """Write typed models of all events, for consumers. Needs the extra `models`."""
    typer.echo(commands.write_models(output))


@dead_letters.command("list")
def dead_letters_list(
    context: typer.Context,
    *,
    config: Config = None,
    wide: Annotated[bool, typer.Option("--wide", help="All columns, uncut.")] = False,
    json: Json = False,
) -> None:
    """List the records that Kafka refused, with the reason. Needs only the settings of Kafka."""
    commands.list_dead_letters(settings.load_kafka(settings_file(context, config)), wide=wide, as_json=json)


running.add_to(app)
evidence.add_to(app)
preparing.add_to(app)


def main() -> None:
    """Run the command line in `sys.argv`."""
    app()
