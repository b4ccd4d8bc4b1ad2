"""Several replicas share the accounts: one is killed, stopped, or hangs, and the others go on with its sessions."""

import asyncio
import sys
import time
from collections.abc import Sequence

import msgspec

from tests.faults.bridge_process import BridgeProcess
from tests.faults.site import Site, killed

TAKEOVER = 9.0
"""Seconds from kill -9 to the first poll of every adopted session."""
HANDOVER = 2.0
"""Seconds from a planned stop's begin to the first poll of every session that is handed over."""


async def fleet(site: Site, size: int = 3, **changes: str) -> list[BridgeProcess]:
    """Start replicas, and wait until all are ready."""
    replicas = [
        await site.bridge(FLEET__ENABLED="true", FLEET__REPLICA=f"replica-{number}", **changes)
        for number in range(size)
    ]
    await asyncio.gather(*(one.ready(within=60) for one in replicas))
    return replicas


async def sessions(replica: BridgeProcess) -> list[dict[str, object]]:
    _, body = await replica.get("/sessions")
    return msgspec.json.decode(body, type=list[dict[str, object]])


async def owner(replicas: Sequence[BridgeProcess], *, within: float = 30) -> BridgeProcess:
    """Wait until one of the replicas relays the account, connected."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        for replica in replicas:
            shown = await sessions(replica)
            if shown and shown[0]["state"] in {"connected", "holding"}:
                return replica
        await asyncio.sleep(0.02)
    raise AssertionError(f"no owner within {within} s\n{replicas[0].output()[-3000:]}")


async def handshakes(replicas: Sequence[BridgeProcess]) -> int:
    return sum([await one.handshakes() for one in replicas])


def told(line: str) -> None:
    """Show a measured time with `pytest -s`."""
    sys.stderr.write(f"{line}\n")


async def test_one_account_and_three_replicas(site: Site) -> None:
    """One replica relays, two stand by and are ready; the killed one's session lives on at another, in time."""
    replicas = await fleet(site)
    first = await owner(replicas)
    others = [one for one in replicas if one is not first]
    opened = await site.client_ids()
    assert [await sessions(one) for one in others] == [[], []]
    assert await handshakes(replicas) == 1
    async with site.load():
        killed = time.monotonic()
        await first.kill()
        second = await owner(others)
        took = time.monotonic() - killed
        await site.caught_up()
    told(f"takeover after kill -9: {took:.2f} s")
    assert took < TAKEOVER
    assert await handshakes(others) == 0
    assert [await one.missing() for one in others] == [[], []]
    assert await site.client_ids() == opened
    assert (await site.settled()).changes == ["opened"]
    assert second in others


async def test_a_planned_stop_hands_over(site: Site) -> None:
    """SIGTERM: the owner leaves politely, and another replica polls its session within two seconds."""
    replicas = await fleet(site)
    first = await owner(replicas)
    others = [one for one in replicas if one is not first]
    opened = await site.client_ids()
    async with site.load():
        stopped = time.monotonic()
        exit_, second = await asyncio.gather(first.terminate(), owner(others))
        took = time.monotonic() - stopped
        assert exit_.status == 0
        await site.caught_up()
    told(f"handover after SIGTERM: {took:.2f} s, exit {exit_.seconds:.2f} s")
    assert took < HANDOVER
    assert await handshakes(others) == 0
    assert await site.client_ids() == opened
    assert (await site.settled()).changes == ["opened"]
    assert second in others


async def test_a_replica_that_hangs(site: Site) -> None:
    """SIGSTOP for 20 s: another replica takes over; the one that wakes up lets go, lives on, and stands by."""
    replicas = await fleet(site)
    first = await owner(replicas)
    others = [one for one in replicas if one is not first]
    opened = await site.client_ids()
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
    assert took < TAKEOVER
    assert await handshakes(others) == 0
    assert await handshakes([first]) == 1
    assert await site.client_ids() == opened
    assert (await site.settled()).changes == ["opened"]


async def stands_by(replica: BridgeProcess) -> bool:
    return await sessions(replica) == []


async def test_kafka_is_away_from_all(site: Site) -> None:
    """While Kafka is gone the owner keeps its session alive, however long that takes; then the fleet goes on."""
    replicas = await fleet(site)
    await owner(replicas)
    opened = await site.client_ids()
    async with site.load():
        async with killed(site.kafka):
            await asyncio.sleep(25)
        await asyncio.gather(*(one.ready(within=60) for one in replicas))
        await owner(replicas)
        await site.caught_up()
    assert await handshakes(replicas) == 1
    assert await site.client_ids() == opened
    assert (await site.settled()).changes == ["opened"]
