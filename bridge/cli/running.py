"""The commands that query a running bridge: `bridge operations` and `bridge sessions`."""

from enum import StrEnum
from typing import Annotated

import typer

from bridge import commands
from bridge.cli.application import Application
from bridge.cli.options import LOCAL, Json, TokenFile, Url

operations = Application("operations", "The operations of a running bridge.")


class Status(StrEnum):
    """The statuses of an operation."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ACKNOWLEDGED = "acknowledged"
    TIMED_OUT = "timed-out"


@operations.command("list")
def operations_list(
    *,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    status: Annotated[Status | None, typer.Option(help="Only operations with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="The most operations.")] = 20,
    json: Json = False,
) -> None:
    """List the newest operations of all replicas, the newest last."""
    wanted = None if status is None else status.value
    commands.list_operations(commands.RunningBridge(url, token_file), status=wanted, limit=limit, as_json=json)


@operations.command("show")
def operations_show(
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="The operation's referenceId.")],
    *,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Show one operation: its times, Web Services' reply, and where its acknowledgement is in Kafka."""
    commands.show_operation(commands.RunningBridge(url, token_file), reference, as_json=json)


def sessions(*, url: Url = LOCAL, token_file: TokenFile = None, json: Json = False) -> None:
    """List the CometD sessions of a running bridge. In a fleet, these are the sessions of one replica."""
    commands.list_sessions(commands.RunningBridge(url, token_file), as_json=json)


def add_to(app: Application) -> None:
    """Add the commands to the application."""
    app.add_typer(operations)
    app.command("sessions")(sessions)
