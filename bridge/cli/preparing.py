"""The commands that prepare a first start: `bridge init` and `bridge topics plan`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bridge import commands, settings
from bridge.cli.application import Application
from bridge.cli.options import Config, settings_file

topics = Application("topics", "The topics of the bridge in Kafka, and the rights that it needs there.")


class Form(StrEnum):
    """The output formats of the plan."""

    COMMANDS = "commands"
    STRIMZI = "strimzi"


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = Path("bridge.toml"),
) -> None:
    """Write a file with every setting, its meaning and its default. A file that exists is never overwritten."""
    typer.echo(commands.write_settings_file(file))


@topics.command("plan")
def topics_plan(
    context: typer.Context,
    *,
    config: Config = None,
    form: Annotated[
        Form, typer.Option("--format", help="Shell commands, or resources for the operator Strimzi.")
    ] = Form.COMMANDS,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="The Kafka user of the bridge, who gets the rights.")
    ] = "bridge",
    command_config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="With commands: the properties file by which an administrator logs in."),
    ] = None,
    cluster: Annotated[
        str, typer.Option(metavar="NAME", help="With Strimzi: the name of the Kafka resource.")
    ] = "kafka",
) -> None:
    """Print commands or YAML that create the topics as the bridge would, and grant the bridge's rights.

    This command connects to nothing, and needs no settings of Web Services.
    """
    plan = commands.plan_of(settings.load_for_topics(settings_file(context, config)), user=user)
    typer.echo(plan.as_strimzi(cluster) if form is Form.STRIMZI else plan.as_commands(command_config))


def add_to(app: Application) -> None:
    """Add the commands to the application."""
    app.command("init")(init)
    app.add_typer(topics)
