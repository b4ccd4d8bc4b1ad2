"""`bridge operations list` and `bridge operations show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from bridge.commands.output.rows import Column
from bridge.commands.remote.output import print_json, print_members, print_rows, short_time
from bridge.errors import CommandFailed

if TYPE_CHECKING:
    from bridge.commands.remote.client import RunningBridge

PAGE: Final = 1000
"""The most operations that the bridge returns at once."""
_COLUMNS: Final = (
    Column("received (utc)", 19),
    Column("reference", 14, grows=True, whole=True),
    Column("status", 12),
    Column("operation", 15, optional=True),
    Column("account", 8, grows=True, optional=True),
)


def list_operations(bridge: RunningBridge, *, status: str | None, limit: int, as_json: bool) -> None:
    """Print the newest `limit` operations, the newest last. None as `status` means any status.

    Raises:
        CommandFailed: the bridge does not answer, or refuses the request.
    """
    bridge.warn()
    found = _newest(bridge, {} if status is None else {"status": status}, limit)[::-1]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            short_time(one.get("receivedAt")),
            one.get("referenceId"),
            one.get("status"),
            one.get("operation"),
            one.get("account"),
        )
        for one in found
    ]
    print_rows(_COLUMNS, rows, nothing=f"The bridge knows no operations{f' that are {status}' if status else ''}.")


def show_operation(bridge: RunningBridge, reference: str, *, as_json: bool) -> None:
    """Print everything that the bridge reports about an operation.

    Raises:
        CommandFailed: the bridge does not know the operation, does not answer, or refuses the request.
    """
    bridge.warn()
    found = bridge.get(f"/operations/{quote(reference, safe='')}")
    if as_json:
        print_json([found])
    else:
        print_members(found)


def _newest(bridge: RunningBridge, query: dict[str, str], limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        page = bridge.get("/operations", {**query, "limit": str(size), **({} if after is None else {"after": after})})
        if not isinstance(page, dict) or not isinstance(page.get("operations"), list):
            raise CommandFailed("the answer is not a page of operations; is --url the address of a bridge?")
        found += [one for one in page["operations"] if isinstance(one, dict)]
        after = page.get("next")
        if not isinstance(after, str):
            break
    return found
