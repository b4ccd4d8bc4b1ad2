"""A fleet of two replicas on the embedded broker: what each says of the other's sessions, and repeated requests."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest_asyncio

from bridge.delivery import read
from bridge.settings import Kafka
from bridge.simulator import EmbeddedBroker, Fault, Simulator
from bridge.simulator.rest import ForwardedOperation
from tests.page import REQUEST
from tests.unit.cli_process import Command

PASSWORD = "correct-horse-battery"
ACCOUNTS = ("north", "south")
"""The two hash to different slots of four."""
RECORD = "/api/v2/me/outbound-records/13"
REPLICAS = ("one", "two")
POSITION_AGE = timedelta(seconds=10)
"""The simulator answers a poll after 2 s at the latest, and an empty reply renews a position that is older than 5 s."""


class Fleet:
    """Two replicas as processes, with two accounts, by the replicas' names."""

    def __init__(self, upstream: Simulator, kafka: Kafka, client: aiohttp.ClientSession) -> None:
        self.upstream = upstream
        self.kafka = kafka
        self.client = client
        self.urls: dict[str, str] = {}
        self.commands: dict[str, Command] = {}

    async def get(self, replica: str, path: str) -> Any:
        async with self.client.get(self.urls[replica] + path) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def post(self, replica: str, reference: str) -> int:
        body = REQUEST | {"referenceId": reference}
        async with self.client.post(self.urls[replica] + RECORD, json=body) as reply:
            await reply.read()
            return reply.status

    async def connected(self, replica: str) -> list[str]:
        """The accounts that the replica relays, connected."""
        return [one["account"] for one in await self.get(replica, "/sessions") if one["state"] == "connected"]

    async def knows(self, replica: str, reference: str) -> bool:
        """Whether the replica has read of the operation in the ledger."""
        async with self.client.get(f"{self.urls[replica]}/operations/{reference}") as reply:
            return reply.status == 200

    def forwarded(self, reference: str) -> list[ForwardedOperation]:
        """The requests with this reference that have reached Web Services."""
        return [one for one in self.upstream.operations if one.body.get("referenceId") == reference]

    async def shared(self) -> bool:
        """Whether each replica relays one of the accounts."""
        return [len(await self.connected(replica)) for replica in self.urls] == [1, 1]


async def until(condition: Callable[[], Awaitable[bool]], *, within: float) -> None:
    """Wait until an asynchronous condition holds."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110 -- the replicas have no event for it
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    broker = EmbeddedBroker()
    broker.start()
    accounts = [{"name": name, "username": name, "password": PASSWORD} for name in ACCOUNTS]
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Simulator(users=dict.fromkeys(ACCOUNTS, PASSWORD), timeout=2))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        one = Fleet(upstream, Kafka(bootstrap_servers=broker.bootstrap, check_crcs=False), client)
        for name in REPLICAS:
            environment = {
                "BRIDGE_WEB_SERVICES__URL": upstream.url,
                "BRIDGE_ACCOUNTS": json.dumps(accounts),
                "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
                "BRIDGE_KAFKA__CHECK_CRCS": "false",
                "BRIDGE_HTTP__PORT": "0",
                "BRIDGE_FLEET__ENABLED": "true",
                "BRIDGE_FLEET__REPLICA": name,
                "BRIDGE_FLEET__SESSION_TIMEOUT": "3",
            }
            one.commands[name] = await stack.enter_async_context(Command("run", environment=environment))
        one.urls = {name: await command.url() for name, command in one.commands.items()}
        await until(one.shared, within=60)
        yield one
    broker.stop()


async def test_each_replica_says_who_relays_what(fleet: Fleet) -> None:
    """GET /fleet is the same at both replicas, and the assignment of the embedded broker reaches both."""
    assert await fleet.get("one", "/fleet") == (told := await fleet.get("two", "/fleet"))
    assert sorted(name for replica in told["replicas"] for name in replica["accounts"]) == list(ACCOUNTS)


async def test_every_replica_shows_the_sessions_of_the_fleet(fleet: Fleet) -> None:
    """`scope=fleet` shows both sessions at both replicas: the relaying replica, the session and the age."""
    shown = {name: await fleet.get(name, "/sessions?scope=fleet") for name in REPLICAS}
    own = {name: await fleet.get(name, "/sessions") for name in REPLICAS}
    for name, entries in shown.items():
        assert [one["account"] for one in entries] == list(ACCOUNTS)
        by_replica = {one["replica"]: one for one in entries}
        assert by_replica.keys() == set(REPLICAS)
        for replica, entry in by_replica.items():
            [plain] = own[replica]
            for member in ("account", "replica", "session", "state", "ackExtension", "guarantee"):
                assert entry[member] == plain[member]
            age = datetime.now(UTC) - datetime.fromisoformat(entry["asOf"])
            assert timedelta(0) <= age < POSITION_AGE
            assert entry["heldEvents"] == (0 if replica == name else None)


async def test_the_same_request_at_two_replicas(fleet: Fleet) -> None:
    """A request that reaches the second replica while the first forwards it, and the second knows that, is sent once.

    The second caller gets the verdict of the first forwarding.
    """
    fleet.upstream.faults.add(Fault("slow", on="rest", times=1, delay=2.0))
    first = asyncio.ensure_future(fleet.post("one", "later"))
    await until(lambda: fleet.knows("two", "later"), within=10)
    assert not first.done()
    assert await fleet.post("two", "later") == 200
    assert await first == 200
    assert len(fleet.forwarded("later")) == 1


async def test_the_same_request_at_two_replicas_at_once(fleet: Fleet) -> None:
    """One of the two replicas forwards a request, the ledger shows a `requested` event, and the operation ends once."""
    references = [f"together-{number}" for number in range(10)]
    for reference in references:
        statuses = await asyncio.gather(fleet.post("one", reference), fleet.post("two", reference))
        assert set(statuses) == {200}
    told = Counter[tuple[str, str]]()

    def complete() -> bool:
        return all(told[one, "acknowledged"] and told[one, "requested"] for one in references)

    async with aclosing(read(fleet.kafka, ["gws.operations.v1"], from_beginning=True)) as records:
        async with asyncio.timeout(20):
            while not complete():
                event = json.loads((await anext(records)).value or b"")
                told[event["referenceId"], event["status"]] += 1
    for one in references:
        assert (len(fleet.forwarded(one)), told[one, "acknowledged"]) == (1, 1)
