"""Accounts come and go under traffic, on the real Kafka and the real CometD server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.faults.site import PASSWORD, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.faults.bridge_process import BridgeProcess

NAMES = ("stays", "leaves", "changes", "comes")
NEW_PASSWORD = "another-word-of-changes"
FOUR = pytest.mark.parametrize("web", [{"users": dict.fromkeys(NAMES, PASSWORD), "max_interval": 20.0}], indirect=True)
CONNECTED = {"connected", "holding"}


class AccountsFile:
    """The accounts file of a site, and the settings of the bridges that read it."""

    def __init__(self, path: Path, *names: str) -> None:
        self.path = path
        self.on_write: Callable[[], None] = lambda: None
        self.settings = {"ACCOUNTS_FILE": str(path), "WEB_SERVICES__USERNAME": "", "WEB_SERVICES__PASSWORD": ""}
        self.write(*names)

    def write(self, *names: str, **words: str) -> None:
        """Replace the file in one step."""
        next_ = self.path.with_suffix(".next")
        next_.write_text(
            "\n".join(
                f"[[accounts]]\nname = '{name}'\nusername = '{name}'\npassword = '{words.get(name, PASSWORD)}'\n"
                for name in names
            )
        )
        next_.replace(self.path)
        self.on_write()

    def write_like(self, other: AccountsFile) -> None:
        """Copy another file in one step."""
        next_ = self.path.with_suffix(".next")
        next_.write_bytes(other.path.read_bytes())
        next_.replace(self.path)


async def connected(bridges: Sequence[BridgeProcess]) -> list[str]:
    """The names of the accounts whose sessions the bridges poll."""
    shown: list[dict[str, Any]] = []
    for bridge in bridges:
        _, body = await bridge.get("/sessions")
        shown += msgspec.json.decode(body, type=list[dict[str, Any]])
    return sorted(one["account"] for one in shown if one["state"] in CONNECTED)


async def relaying(bridges: Sequence[BridgeProcess], *names: str) -> None:
    """Wait until exactly these accounts are connected."""

    async def are_connected() -> bool:
        return await connected(bridges) == sorted(names)

    await bridges[0].until(are_connected, within=40, what=f"relaying {names}")


async def client_ids(site: Site) -> dict[str, str]:
    return {one.user: one.client_id for one in await site.web.sessions()}


def handles(*names: str) -> dict[str, int]:
    """The first record handle of each of these accounts."""
    return {name: 100 * NAMES.index(name) for name in names}


async def come_and_go(site: Site, file: AccountsFile, bridges: Sequence[BridgeProcess]) -> None:
    """Let one account of three leave, one come, and one change its password, under traffic."""
    await relaying(bridges, "stays", "leaves", "changes")
    before = await client_ids(site)
    async with site.load_of(handles("stays", "changes"), events=10):
        async with site.load_of(handles("leaves"), events=10):
            await site.caught_up()
        await site.caught_up()
        await site.web.change_password("changes", NEW_PASSWORD)
        await site.web.drop_logins()
        file.write("stays", "changes", "comes", changes=NEW_PASSWORD)
        await relaying(bridges, "stays", "changes", "comes")
        async with site.load_of(handles("comes"), events=10):
            await site.caught_up()
        await site.caught_up()

    async def has_left() -> bool:
        return "leaves" not in await client_ids(site)

    # Less than maxInterval: the bridge ends the session, it does not expire.
    await bridges[0].until(has_left, within=15, what="ending the session of the account that left")
    after = await client_ids(site)
    assert after == {"stays": before["stays"], "changes": before["changes"], "comes": after["comes"]}


@FOUR
async def test_accounts_come_and_go_under_traffic(site: Site, tmp_path: Path) -> None:
    """One of three accounts leaves, one comes, one changes its password: nothing is missing or comes twice.

    Only the account that comes opens a session. A kill -9 right after finds the position under the new password.
    """
    file = AccountsFile(tmp_path / "accounts.toml", "stays", "leaves", "changes")
    bridge = await site.ready_bridge(**file.settings)
    await come_and_go(site, file, [bridge])
    for name in ("stays", "changes", "comes"):
        assert await bridge.metric("bridge_cometd_handshakes_total", account=name) == 1
    await bridge.kill()
    after = await client_ids(site)
    successor = await site.ready_bridge(**file.settings)
    await site.ledger.publish(10, user="changes", first_handle=900)
    await site.caught_up()
    assert await client_ids(site) == after
    assert await successor.handshakes() == 0
    account = await site.settled()
    assert sorted(account.changes) == ["closed", *["opened"] * 4]
    assert NEW_PASSWORD not in bridge.output() + successor.output()


@FOUR
async def test_accounts_come_and_go_in_a_fleet(site: Site, tmp_path: Path) -> None:
    """The same in a fleet whose replicas read copies of the file that change one after the other."""
    files = [AccountsFile(tmp_path / f"accounts-{one}.toml", "stays", "leaves", "changes") for one in range(2)]
    replicas = [
        await site.bridge(FLEET__ENABLED="true", FLEET__REPLICA=f"replica-{one}", **file.settings)
        for one, file in enumerate(files)
    ]
    await asyncio.gather(*(one.ready(within=60) for one in replicas))

    changed = asyncio.Event()

    async def change_second_copy() -> None:
        await changed.wait()
        await replicas[0].until(has_read, within=20, what="reading its copy")
        first, second = [await one.metric("bridge_accounts_digest") for one in replicas]
        assert first != second
        files[1].write_like(files[0])

    async def has_read() -> bool:
        return bool(replicas[0].events("accounts-changed"))

    files[0].on_write = changed.set
    async with asyncio.TaskGroup() as group:
        group.create_task(change_second_copy())
        group.create_task(come_and_go(site, files[0], replicas))
    first, second = [await one.metric("bridge_accounts_digest") for one in replicas]
    assert first == second
    account = await site.settled()
    assert sorted(account.changes) == ["closed", *["opened"] * 4]
