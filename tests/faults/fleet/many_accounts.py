"""A fleet that shares many accounts: its replicas, its load, and whether all is well."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import msgspec

from tests.faults.bridge_process import BridgeProcess
from tests.faults.fleet.replicas import CONNECTED, replica_of
from tests.faults.ledger import NETWORK
from tests.faults.site import PASSWORD, Site

_LOOK = 0.2
_LOOK_AT_AN_ACCOUNT = 0.001
"""Seconds between two looks: a look takes longer with more accounts, and costs the replicas processor time."""


class Share(NamedTuple):
    """What a replica owns. `busy` are its slots with accounts."""

    name: str
    slots: int
    busy: int
    accounts: int


class ManyAccounts:
    """The replicas of a fleet that share `accounts`. `url` is that of Web Services, if it is not the site's own."""

    def __init__(self, site: Site, accounts: Sequence[str], *, url: str = "") -> None:
        self._site = site
        self._url = url or site.web.url
        self.accounts = accounts
        self.replicas: list[BridgeProcess] = []
        self.shares: list[Share] = []
        """The shares when all was last well."""

    async def start(self, count: int, *, within: float) -> None:
        """Start the replicas together, and wait until all is well."""
        self.replicas = [await self._bridge(number) for number in range(count)]
        await self.well(within=within)

    async def start_again(self, number: int) -> None:
        """Start a replica again that has ended. It is not ready yet."""
        self.replicas[number] = await self._bridge(number)

    async def _bridge(self, number: int) -> BridgeProcess:
        accounts = [{"name": name, "username": name, "password": PASSWORD} for name in self.accounts]
        return await replica_of(
            self._site,
            number,
            WEB_SERVICES__URL=self._url,
            WEB_SERVICES__USERNAME="",
            WEB_SERVICES__PASSWORD="",
            ACCOUNTS=json.dumps(accounts),
        )

    async def well(self, *, within: float, without: Collection[BridgeProcess] = ()) -> None:
        """Wait until all replicas are ready, say the same, have even shares, and relay each account once.

        The replicas `without` are away.

        Raises:
            AssertionError: this took longer than `within` seconds, or a replica ended.
        """
        present = [one for one in self.replicas if one not in without]
        deadline = time.monotonic() + within
        while (trouble := await self._trouble(present)) is not None:
            ended = [one for one in present if one.ended]
            assert not ended, f"a replica ended by itself\n{ended[0].output()[-3000:]}"
            assert time.monotonic() < deadline, f"not well within {within:g} s: {trouble}"
            await asyncio.sleep(max(_LOOK, _LOOK_AT_AN_ACCOUNT * len(self.accounts)))

    async def _trouble(self, present: Sequence[BridgeProcess]) -> str | None:
        """Return what is not well, None if all is well."""
        try:
            missing = [one for replica in present for one in await replica.missing()]
            tables = [await _json(replica, "/fleet") for replica in present]
            shown = [await _json(replica, "/sessions") for replica in present]
        except (aiohttp.ClientError, TimeoutError, LookupError) as error:
            return f"no answer ({type(error).__name__})"
        if missing:
            return f"not ready: {missing[:3]}"
        if any(table != tables[0] for table in tables) or len(tables[0]["replicas"]) != len(present):
            return "the replicas know different fleets"
        relayed = sorted(one["account"] for own in shown for one in own if one["state"] in CONNECTED)
        if relayed != sorted(self.accounts):
            return f"{len(relayed)} of {len(self.accounts)} accounts are relayed"
        busy = {slot["slot"] for slot in tables[0]["slots"] if slot["accounts"]}
        shares = [
            Share(one["name"], len(one["slots"]), len(busy & set(one["slots"])), len(one["accounts"]))
            for one in tables[0]["replicas"]
        ]
        for numbers in ([one.slots for one in shares], [one.busy for one in shares]):
            if max(numbers) - min(numbers) > 1:
                return f"uneven shares: {numbers}"
        self.shares = shares
        return None

    @asynccontextmanager
    async def load(self, rate: float, burst: int) -> AsyncIterator[None]:
        """`rate` events/s beside the block, `burst` of an account at a time, under record handles of its own."""
        stop = asyncio.Event()

        async def publish() -> None:
            due = time.monotonic()
            while not stop.is_set():
                for place, name in enumerate(self.accounts):
                    if stop.is_set():
                        return
                    due = max(due + burst / rate, time.monotonic() - 1.0)  # a server that was away is not flooded
                    try:
                        await self._site.ledger.publish(burst, user=name, first_handle=100 * place)
                    except NETWORK:
                        await asyncio.sleep(0.1)
                    await asyncio.sleep(max(0.0, due - time.monotonic()))

        publishing = asyncio.create_task(publish())
        try:
            await self._site.arrived(1)
            yield
        finally:
            stop.set()
            await publishing


async def _json(replica: BridgeProcess, path: str) -> Any:
    _, body = await replica.get(path)
    return msgspec.json.decode(body)
