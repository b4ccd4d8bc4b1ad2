"""Operations through the bridge, and what the ledger tells of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from bridge.delivery import read
from bridge.events import Operation
from tests.faults.bridge_process import BridgeProcess
from tests.faults.follower import Follower
from tests.faults.site import Site
from tests.page import REQUEST

RECORDS = "/api/v2/me/outbound-records"
_DEADLINE = 60.0


@dataclass(frozen=True)
class Answer:
    """What the caller gets."""

    status: int
    body: Any
    headers: dict[str, str]


class Caller:
    """Calls the bridge's REST side."""

    def __init__(self, client: aiohttp.ClientSession, bridge: BridgeProcess) -> None:
        self._client = client
        self._bridge = bridge

    async def post(self, reference: str, prefer: str | None = None, *, handle: int = 13) -> Answer:
        """POST the page's sample under this reference."""
        headers = {} if prefer is None else {"Prefer": prefer}
        body = REQUEST | {"referenceId": reference}
        url = f"{self._bridge.url}{RECORDS}/{handle}"
        async with self._client.post(url, json=body, headers=headers) as reply:
            return Answer(reply.status, await reply.json(content_type=None), dict(reply.headers))

    async def status(self, reference: str) -> str:
        """The operation's status, "unknown" where the bridge does not know it."""
        async with self._client.get(f"{self._bridge.url}/operations/{reference}") as reply:
            body = await reply.json(content_type=None)
            return str(body["status"]) if reply.status == 200 else "unknown"

    async def until(self, reference: str, status: str, *, within: float = 30) -> None:
        """Wait until the operation has that status."""

        async def reached() -> bool:
            return await self.status(reference) == status

        await self._bridge.until(reached, within=within, what=f"{reference} {status}")


@asynccontextmanager
async def caller(bridge: BridgeProcess) -> AsyncIterator[Caller]:
    """A caller of that bridge, which listens."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_DEADLINE), connector=connector) as client:
        yield Caller(client, bridge)


async def events_of(site: Site, topic: str) -> list[Any]:
    """The values of one topic, in the order of their partitions."""
    records = read(site.settings, [f"{site.prefix}.{topic}"], from_beginning=True, until_end=True)
    async with aclosing(records) as all_of_them:
        return [msgspec.json.decode(one.value or b"") async for one in all_of_them]


async def ledger(site: Site) -> dict[str, list[Operation]]:
    """Each operation's events, in their order."""
    told: dict[str, list[Operation]] = {}
    for value in await events_of(site, "operations.v1"):
        event = _event(value)
        told.setdefault(event.reference_id, []).append(event)
    return told


def _event(value: Any) -> Operation:
    return msgspec.json.decode(msgspec.json.encode(value), type=Operation)


async def forwarded(site: Site) -> Counter[str]:
    """How often Web Services got each reference."""
    return Counter(str(one.body["referenceId"]) for one in await site.web.operations() if RECORDS in one.path)


async def statuses(site: Site, reference: str, last: str, *, within: float = 20) -> list[str]:
    """The statuses that the ledger tells of the operation, once the newest is `last`."""
    newest = ""
    reading = Follower(site.settings, ["operations.v1"]).read()
    async with asyncio.timeout(within), aclosing(reading):
        while True:
            async for records in reading:
                events = [msgspec.json.decode(record.value or b"", type=Operation) for record in records]
                newest = [newest, *(event.status for event in events if event.reference_id == reference)][-1]
                if newest == last:
                    break
            told = [event.status for event in (await ledger(site)).get(reference, [])]
            if told[-1] == last:
                return list(told)
