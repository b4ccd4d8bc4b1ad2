"""Several replicas share the accounts: one is killed, stopped, or hangs, and the others go on with its sessions."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fault_proxy import FaultProxy
from tests.faults.bridge_process import BridgeProcess
from tests.faults.site import PASSWORD, Site, killed
from tests.faults.tcp_proxy import TcpProxy
from tests.real import RealKafka, RealWebServices

CONNECTED = {"connected", "holding"}
UNATTENDED = pytest.mark.parametrize("web", [{"max_interval": 20.0}], indirect=True)
"""A busy machine can take longer than 10 s for a takeover. `tests.faults.takeover_times` measures the times."""


async def fleet(site: Site, **changes: str) -> list[BridgeProcess]:
    """Start three replicas at the same time, and wait until all are ready."""
    replicas = [await replica_of(site, number, **changes) for number in range(3)]
    await asyncio.gather(*(one.ready(within=60) for one in replicas))
    return replicas


async def replica_of(site: Site, number: int, /, **changes: str) -> BridgeProcess:
    """Start a replica."""
    return await site.bridge(FLEET__ENABLED="true", FLEET__REPLICA=f"replica-{number}", **changes)


async def sessions(replica: BridgeProcess) -> list[dict[str, Any]]:
    _, body = await replica.get("/sessions")
    return msgspec.json.decode(body, type=list[dict[str, Any]])


async def owner(replicas: Sequence[BridgeProcess], *, within: float = 30) -> BridgeProcess:
    """Wait until one of the replicas relays the account, connected."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        for replica in replicas:
            shown = await sessions(replica)
            if shown and shown[0]["state"] in CONNECTED:
                return replica
        await asyncio.sleep(0.02)
    raise AssertionError(f"no owner within {within} s\n{replicas[0].output()[-3000:]}")


async def handshakes(replicas: Sequence[BridgeProcess]) -> int:
    return sum([await one.handshakes() for one in replicas])


def told(line: str) -> None:
    """Show a measured time with `pytest -s`."""
    sys.stderr.write(f"{line}\n")


@UNATTENDED
async def test_one_account_and_three_replicas(site: Site) -> None:
    """One replica relays, two stand by and are ready; the killed one's session lives on at another."""
    replicas = await fleet(site)
    first = await owner(replicas)
    others = [one for one in replicas if one is not first]
    opened = await site.client_ids()
    of_others = await handshakes(others)
    assert [await sessions(one) for one in others] == [[], []]
    async with site.load():
        killed = time.monotonic()
        await first.kill()
        second = await owner(others)
        took = time.monotonic() - killed
        await site.caught_up()
    told(f"takeover after kill -9: {took:.2f} s")
    assert await handshakes(others) == of_others
    assert [await one.missing() for one in others] == [[], []]
    assert await site.client_ids() == opened
    assert (await site.settled()).changes == ["opened"]
    assert second in others


@UNATTENDED
async def test_a_planned_stop_hands_over(site: Site) -> None:
    """SIGTERM: the owner leaves politely, and another replica polls its session."""
    replicas = await fleet(site)
    first = await owner(replicas)
    others = [one for one in replicas if one is not first]
    opened = await site.client_ids()
    of_others = await handshakes(others)
    async with site.load():
        stopped = time.monotonic()
        exit_, second = await asyncio.gather(first.terminate(), owner(others))
        took = time.monotonic() - stopped
        assert exit_.status == 0
        await site.caught_up()
    told(f"handover after SIGTERM: {took:.2f} s, exit {exit_.seconds:.2f} s")
    assert await handshakes(others) == of_others
    assert await site.client_ids() == opened
    assert (await site.settled()).changes == ["opened"]
    assert second in others


@UNATTENDED
async def test_a_replica_that_hangs(site: Site) -> None:
    """SIGSTOP for 20 s: another replica takes over; the one that wakes up lets go, lives on, and stands by."""
    replicas = await fleet(site)
    first = await owner(replicas)
    others = [one for one in replicas if one is not first]
    opened = await site.client_ids()
    of_first = await handshakes([first])
    of_others = await handshakes(others)
    async with site.load():
        await first.suspend()
        try:
            began = time.monotonic()
            second = await owner(others)
            took = time.monotonic() - began
            await asyncio.sleep(20 - took)
        finally:
            first.resume()
        await first.until(lambda: stands_by(first), within=20, what="standing by")
        await first.ready()
        await site.caught_up()
        assert await owner(replicas) is second
    told(f"takeover after SIGSTOP: {took:.2f} s")
    assert await handshakes(others) == of_others
    assert await handshakes([first]) == of_first
    assert await site.client_ids() == opened
    assert (await site.settled()).changes == ["opened"]


async def stands_by(replica: BridgeProcess) -> bool:
    return await sessions(replica) == []


@UNATTENDED
async def test_a_bridge_without_the_setting_beside_a_fleet(site: Site) -> None:
    """A replica that is fenced waits for an assignment, takes the slot over again, and the other bridge leaves."""
    replicas = await fleet(site)
    first = await owner(replicas)
    opened = await site.client_ids()
    of_all = await handshakes(replicas)
    async with site.load():
        stranger = await site.bridge()
        assert await stranger.exited(within=40) == 0
        assert len(stranger.events("fenced")) == 1
        await owner(replicas)
        await site.caught_up()
    assert first.events("slot-taken")
    assert await first.metric("bridge_fleet_handovers_total", reason="fenced") >= 1
    assert await handshakes(replicas) == of_all
    assert await site.client_ids() == opened
    assert (await site.settled()).changes == ["opened"]


@UNATTENDED
async def test_kafka_is_away_from_all(site: Site) -> None:
    """While Kafka is gone the owner keeps its session alive, however long that takes; then the fleet goes on."""
    replicas = await fleet(site)
    await owner(replicas)
    opened = await site.client_ids()
    of_all = await handshakes(replicas)
    async with site.load():
        async with killed(site.kafka):
            await asyncio.sleep(25)
        await asyncio.gather(*(one.ready(within=60) for one in replicas))
        await owner(replicas)
        await site.caught_up()
    assert await handshakes(replicas) == of_all
    assert await site.client_ids() == opened
    assert (await site.settled()).changes == ["opened"]


ACCOUNTS = {f"agent-{number}": PASSWORD for number in range(6)}
SEVERAL = pytest.mark.parametrize("web", [{"users": ACCOUNTS, "max_interval": 20.0}], indirect=True)
SEVERAL_ACCOUNTS = {
    "ACCOUNTS": json.dumps([{"name": name, "username": name, "password": word} for name, word in ACCOUNTS.items()]),
    "WEB_SERVICES__USERNAME": "",
    "WEB_SERVICES__PASSWORD": "",
}


@asynccontextmanager
async def load_for_each(site: Site) -> AsyncIterator[None]:
    """300 events/s beside the block, 50 for each account."""
    stop = asyncio.Event()

    async def publish() -> None:
        while not stop.is_set():
            for place, name in enumerate(ACCOUNTS):
                await site.ledger.publish(5, user=name, first_handle=100 * place)
            await asyncio.sleep(0.1)

    publishing = asyncio.create_task(publish())
    try:
        await site.arrived(1)
        yield
    finally:
        stop.set()
        await publishing


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
    replicas = await fleet(site, **SEVERAL_ACCOUNTS)
    await shared_evenly(replicas)
    opened = await settled_sessions(site)
    kept = await replicas[2].handshakes()
    async with load_for_each(site):
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


@UNATTENDED
@pytest.mark.parametrize("loaded", [False, True], ids=["quiet", "loaded"])
async def test_a_replica_that_is_cut_off_from_kafka_alone(
    web: RealWebServices,
    tmp_path: Path,
    loaded: bool,  # noqa: FBT001 -- pytest
) -> None:
    """Another replica takes the session over. The one that is cut off fights for no poll, and stands by afterwards."""
    async with TcpProxy() as proxy:
        kafka = RealKafka(listeners={"PROXIED": "PLAINTEXT"}, advertised={"PROXIED": proxy.address})
        async with kafka, Site(kafka, web, tmp_path) as site:
            through = proxy.target = kafka.address("PROXIED")
            first = await replica_of(site, 0, KAFKA__BOOTSTRAP_SERVERS=proxy.address)
            await first.ready(within=60)
            await owner([first])
            others = [await replica_of(site, number) for number in (1, 2)]
            await asyncio.gather(*(one.ready(within=60) for one in others))
            opened = await site.client_ids()
            of_first = await handshakes([first])
            of_others = await handshakes(others)
            async with site.load() if loaded else nullcontext():
                await proxy.cut()
                second = await owner(others)
                if not loaded:
                    await first.until(lambda: stands_by(first), within=20, what="standing by")
                    await site.ledger.publish(10)
                await site.caught_up()
                proxy.target = through
                await first.until(lambda: stands_by(first), within=20, what="standing by")
                await first.ready()
            displaced = [line for line in second.events("cometd-disconnected") if line["reason"] == "http-408"]
            assert len(displaced) <= 3
            assert await handshakes(others) == of_others
            assert await handshakes([first]) == of_first
            assert await site.client_ids() == opened
            assert (await site.settled()).changes == ["opened"]


@pytest.mark.parametrize("web", [{"timeout": 5.0}], indirect=True)
async def test_a_replica_that_is_cut_off_from_web_services_alone(site: Site) -> None:
    """It offers its slots after half a minute; another replica relays the account, and a gap tells of the loss."""
    async with FaultProxy(site.web.url) as way:
        first = await replica_of(site, 0, WEB_SERVICES__URL=way.url)
        await first.ready(within=60)
        second = await replica_of(site, 1)
        await second.ready(within=60)
        assert await owner([first, second]) is first
        await way.stop()
        assert await owner([second], within=60) is second
        await way.start()
        await first.ready(within=60)
        assert await sessions(first) == []
    await site.ledger.publish(10)
    await site.caught_up()
    assert (await site.settled()).changes == ["opened", "lost", "gap", "opened"]
