"""`bridge sessions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.commands.output.rows import Column
from bridge.commands.remote.output import print_json, print_rows, short_time
from bridge.errors import CommandFailed

if TYPE_CHECKING:
    from bridge.commands.remote.client import RunningBridge

NONE: Final = (
    "This bridge relays no account at present. In a fleet another replica may: GET /sessions?scope=fleet shows the "
    "sessions of all replicas."
)
_COLUMNS: Final = (
    Column("account", 12, grows=True),
    Column("session", 16),
    Column("state", 9),
    Column("guarantee", 13),
    Column("last reply (utc)", 19, optional=True),
    Column("reason", 12, grows=True, optional=True),
)


def list_sessions(bridge: RunningBridge, *, as_json: bool) -> None:
    """Print the CometD session of each account that this bridge relays.

    Raises:
        CommandFailed: the bridge does not answer, or refuses the request.
    """
    bridge.warn()
    found = bridge.get("/sessions")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise CommandFailed("the answer is not a list of sessions; is --url the address of a bridge?")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.get("account"),
            one.get("session"),
            one.get("state"),
            one.get("guarantee"),
            short_time(one.get("lastReplyAt")),
            one.get("reason") or one.get("watchdog"),
        )
        for one in found
    ]
    print_rows(_COLUMNS, rows, nothing=NONE)
