"""Six accounts are shared by three replicas through every kind of end, and the shares are even again each time."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.faults.bridge_process import BridgeProcess
from tests.faults.fleet.replicas import CONNECTED, handshakes, replica_of, sessions, start
from tests.faults.site import PASSWORD, Site

ACCOUNTS = {f"agent-{number}": PASSWORD for number in range(6)}
HANDLES = {name: 100 * place for place, name in enumerate(ACCOUNTS)}
SEVERAL = pytest.mark.parametrize("web", [{"users": ACCOUNTS, "max_interval": 20.0}], indirect=True)
SEVERAL_ACCOUNTS = {
    "ACCOUNTS": json.dumps([{"name": name, "username": name, "password": word} for name, word in ACCOUNTS.items()]),
    "WEB_SERVICES__USERNAME": "",
    "WEB_SERVICES__PASSWORD": "",
}


async def told_fleet(replica: BridgeProcess) -> dict[str, Any]:
    _, body = await replica.get("/fleet")
    return msgspec.json.decode(body, type=dict[str, Any])


async def shared_evenly(replicas: Sequence[BridgeProcess], *, within: float = 30) -> None:
    """Wait until every replica tells the same fleet of all of them, each with its share, and relays its accounts."""
    deadline = time.monotonic() + within
    seen: object = None
    while time.monotonic() < deadline:
        seen = tables = [await told_fleet(one) for one in replicas]
        shares = [one["accounts"] for one in tables[0]["replicas"]]
        shown = [await sessions(replica) for replica in replicas]
        relayed = [sorted(one["account"] for one in own if one["state"] in CONNECTED) for own in shown]
        if all(table == tables[0] for table in tables) and sorted(relayed) == sorted(shares):
            slots = [len(one["slots"]) for one in tables[0]["replicas"]]
            assert max(slots) - min(slots) <= 1
            assert sorted(name for share in relayed for name in share) == sorted(ACCOUNTS)
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"not shared evenly within {within} s: {seen}")


async def settled_sessions(site: Site, *, within: float = 30) -> set[str]:
    """Wait until the server has one session for each account, and return them.

    While the first replicas join, an account may move before its first session is in Kafka. That session expires.
    """
    deadline = time.monotonic() + within
    while len(found := await site.client_ids()) != len(ACCOUNTS):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)
    return found


@SEVERAL
async def test_several_accounts_through_every_end(site: Site) -> None:
    """Through kill -9, SIGTERM and SIGSTOP for 20 s every session lives on, and each time the shares are even again."""
    replicas = await start(site, **SEVERAL_ACCOUNTS)
    await shared_evenly(replicas)
    opened = await settled_sessions(site)
    kept = await replicas[2].handshakes()
    async with site.load_of(HANDLES, events=5):
        await replicas[0].kill()
        await shared_evenly(replicas[1:])
        replicas[0] = await replica_of(site, 0, **SEVERAL_ACCOUNTS)
        await replicas[0].ready(within=60)
        await shared_evenly(replicas)
        assert (await replicas[1].terminate()).status == 0
        await shared_evenly([replicas[0], replicas[2]])
        replicas[1] = await replica_of(site, 1, **SEVERAL_ACCOUNTS)
        await replicas[1].ready(within=60)
        await shared_evenly(replicas)
        await replicas[2].suspend()
        try:
            await asyncio.gather(shared_evenly(replicas[:2]), asyncio.sleep(20))
        finally:
            replicas[2].resume()
        await shared_evenly(replicas)
        await asyncio.gather(*(one.ready() for one in replicas))
        await site.caught_up()
    assert await handshakes(replicas[:2]) == 0
    assert await replicas[2].handshakes() == kept
    assert await site.client_ids() == opened
    assert (await site.settled()).changes == ["opened"] * len(ACCOUNTS)
