"""HAProxy and nginx between the bridge and Web Services, and in front of the replicas of a fleet."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.compatibility.balancers import SERVED_BY, Balancer, HAProxy, Nginx
from tests.compatibility.parts import PART, RESULT, Note
from tests.compatibility.scenario import MAX_INTERVAL, RATE, end_to_end, undisturbed
from tests.compatibility.two_nodes import TwoNodes
from tests.faults.bridge_process import BridgeProcess
from tests.faults.conftest import web
from tests.faults.fleet.replicas import OneAccount, replica_of
from tests.faults.operations import RECORDS, forwarded
from tests.faults.site import USERS, Site
from tests.page import REQUEST
from tests.real import KafkaServer, RealKafka, RealWebServices, require_real_parts
from tests.real.process import free_port
from tests.tools.required import require_tool

__all__ = ["web"]

BALANCERS = pytest.mark.parametrize("kind", [HAProxy, Nginx], ids=["haproxy", "nginx"])
EACH = 20
"""Operations that are sent together."""
FEW_LOGINS = 8
"""In the time that the bridge needs to tell that its logins are not kept; their pauses double."""


def part(note: Note, kind: type[Balancer], where: str) -> None:
    """Name the row; skip the test where the balancer is not installed."""
    require_tool(kind.command, f"install {kind.name} (Debian: {kind.package})")
    note(PART, f"{kind.name} {kind.version()} {where}")


@asynccontextmanager
async def two_nodes(kind: type[Balancer], *, sticky: bool) -> AsyncIterator[tuple[TwoNodes, list[RealWebServices]]]:
    """Two CometD servers behind a balancer."""
    require_real_parts()
    first, second = RealWebServices(), RealWebServices()
    await first.start(users=USERS, max_interval=MAX_INTERVAL)
    async with first:
        await second.start(users=USERS, max_interval=MAX_INTERVAL)
        addresses = [node.url.removeprefix("http://") for node in (first, second)]
        async with second, kind(addresses, sticky=sticky) as balancer:
            yield TwoNodes((first, second), balancer), [first, second]


@BALANCERS
async def test_sticky_in_front_of_two_cometd_servers(
    kind: type[Balancer], own_kafka: RealKafka, tmp_path: Path, record_property: Note
) -> None:
    """The session stays on its node, also for the bridge's next process, and nothing is lost or doubled."""
    part(record_property, kind, "in front of two CometD servers, sticky")
    async with two_nodes(kind, sticky=True) as (nodes, _), Site(own_kafka, nodes, tmp_path) as site:
        await end_to_end(site, own_kafka)


@BALANCERS
async def test_not_sticky_in_front_of_two_cometd_servers(
    kind: type[Balancer], real_kafka: KafkaServer, tmp_path: Path, record_property: Note
) -> None:
    """No CometD session can live there: the bridge says that the balancer must be sticky, and logs in rarely."""
    part(record_property, kind, "in front of two CometD servers, not sticky")
    record_property(RESULT, "no session is possible; the bridge's readiness says `login-not-kept`")
    async with two_nodes(kind, sticky=False) as (nodes, _), Site(real_kafka, nodes, tmp_path) as site:
        bridge = await site.bridge()

        async def told() -> bool:
            return any("login-not-kept" in one.reason for one in await bridge.missing())

        await bridge.until(told, within=60, what="telling that the login is not kept")
        assert len(bridge.events("logged-in")) <= FEW_LOGINS
        assert await bridge.live()


class BalancedCaller:
    """Calls whichever replica the balancer chooses, and keeps cookies as a browser does."""

    def __init__(self, client: aiohttp.ClientSession, balancer: Balancer) -> None:
        self._client = client
        self._url = balancer.url
        self.served_by: Counter[str] = Counter()

    async def post(self, reference: str) -> int:
        """POST the page's sample under this reference; return the status."""
        body = REQUEST | {"referenceId": reference}
        async with self._client.post(f"{self._url}{RECORDS}/13", json=body) as reply:
            return self._noted(reply)

    async def status(self, reference: str) -> str:
        """The operation's status, "unknown" where the chosen replica does not know it yet."""
        async with self._client.get(f"{self._url}/operations/{reference}") as reply:
            return str((await reply.json())["status"]) if self._noted(reply) == 200 else "unknown"

    def _noted(self, reply: aiohttp.ClientResponse) -> int:
        self.served_by[reply.headers.get(SERVED_BY, "")] += 1
        return reply.status


@asynccontextmanager
async def calls(balancer: Balancer) -> AsyncIterator[BalancedCaller]:
    """A caller of the replicas."""
    # Other jars drop the cookies of a server that has only an IP address.
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=30)) as client:
        yield BalancedCaller(client, balancer)


async def send(caller: BalancedCaller, bridge: BridgeProcess, references: list[str]) -> None:
    """Send operations, each again until a replica has accepted it, and wait until all are acknowledged."""
    left = set(references)

    async def accepted() -> bool:
        for reference in sorted(left):
            if await caller.post(reference) == 200:
                left.remove(reference)
        return not left

    async def acknowledged() -> bool:
        return all([await caller.status(reference) == "acknowledged" for reference in references])

    await bridge.until(accepted, within=60, what="accepting through the balancer")
    await bridge.until(acknowledged, within=60, what="acknowledging through the balancer")


@pytest.mark.parametrize("web", [{"max_interval": MAX_INTERVAL}], indirect=True)
@BALANCERS
@pytest.mark.parametrize("sticky", [True, False], ids=["sticky", "not-sticky"])
async def test_in_front_of_two_replicas(
    kind: type[Balancer],
    *,
    sticky: bool,
    real_kafka: KafkaServer,
    web: RealWebServices,
    tmp_path: Path,
    record_property: Note,
) -> None:
    """Any replica takes a call and answers a question; with the relaying one killed, the other one goes on."""
    part(record_property, kind, f"in front of two replicas, {'sticky' if sticky else 'not sticky'}")
    ports = [free_port(), free_port()]
    before, after = ([f"{when}-{number}" for number in range(EACH)] for when in ("before", "after"))
    async with Site(real_kafka, web, tmp_path) as site:
        replicas = [await replica_of(site, number, HTTP__PORT=str(port)) for number, port in enumerate(ports)]
        for replica in replicas:
            await replica.ready(within=60)
        pair = await OneAccount.of(site, replicas)
        balancer = kind([f"127.0.0.1:{port}" for port in ports], sticky=sticky, health="/health/ready")
        async with balancer, calls(balancer) as caller, site.load(rate=RATE):
            await send(caller, pair.first, before)
            assert len(caller.served_by) == (1 if sticky else 2)
            await pair.first.kill()
            [survivor] = pair.others
            await send(caller, survivor, after)
            await site.caught_up()
        await pair.same_session()
        assert await forwarded(site) == dict.fromkeys(before + after, 1)
        await undisturbed(site, before + after)
