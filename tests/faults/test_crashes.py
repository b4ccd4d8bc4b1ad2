"""kill -9 of the bridge, at any moment and at the worst ones."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.rig import Rig
from tests.faults.rigged_bridge import Point
from tests.faults.site import Site
from tests.faults.tcp_proxy import END_TXN, TcpProxy

KILLS = 10
EARLY = 4
"""Every fourth kill comes somewhere in the start instead of after it."""


@pytest.mark.parametrize("web", [{"max_interval": 20.0}], indirect=True)
@pytest.mark.parametrize("seed", [4, 6])
async def test_kill_at_random_moments(site: Site, seed: int) -> None:
    """Ten kill -9 under load lose nothing, double nothing, and cost no handshake; two such runs, at other moments."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    bridge = await site.ready_bridge()
    sessions = await site.client_ids()
    async with site.load():
        for kill in range(KILLS):
            if kill % EARLY:
                await bridge.ready()
                assert await bridge.handshakes() == (1 if kill == 0 else 0)
            await asyncio.sleep(chance.uniform(0, 0.5))  # the moment is the fault
            await bridge.kill()
            bridge = await site.bridge()
        await bridge.ready()
    assert await bridge.handshakes() == 0
    assert await site.client_ids() == sessions
    account = await site.settled()
    assert account.changes == ["opened"]


@pytest.mark.parametrize("web", [{"max_interval": 20.0}], indirect=True)
async def test_a_bridge_dies_before_the_first_poll(site: Site, tmp_path: Path) -> None:
    """A kill -9 right after the handshake costs no second one: the session's position is in Kafka before it polls."""
    site.rig = Rig(tmp_path)
    site.rig.arm(Point.SESSION_OPENED)
    bridge = await site.bridge()
    await site.rig.reached(Point.SESSION_OPENED, [bridge])
    sessions = await site.client_ids()
    await bridge.kill()
    successor = await site.ready_bridge()
    await site.ledger.publish(20)
    account = await site.settled()
    assert successor.events("cometd-session-resuming")
    assert await site.client_ids() == sessions
    assert account.changes == ["opened"]


@pytest.mark.parametrize("forward", [False, True], ids=["before-the-broker-knows", "before-the-bridge-knows"])
async def test_kill_in_the_middle_of_a_commit(proxied: tuple[Site, TcpProxy], *, forward: bool) -> None:
    """A kill -9 between the commit's request and its answer loses nothing and doubles nothing, however it went out."""
    site, proxy = proxied
    bridge = await site.ready_bridge()
    sessions = await site.client_ids()
    await site.ledger.publish(20)
    await site.arrived(20)
    trap = proxy.trap(END_TXN, forward=forward)
    await site.ledger.publish(20)
    async with asyncio.timeout(10):
        await trap.sprung.wait()
    await bridge.kill()
    trap.cut()
    successor = await site.ready_bridge()
    await site.ledger.publish(20)
    await site.settled()
    assert successor.events("listening")
    assert await site.client_ids() == sessions


@pytest.mark.parametrize("web", [{"max_interval": 20.0}], indirect=True)
@pytest.mark.parametrize("commits", [1, 4])
async def test_kill_in_the_middle_of_a_reply(proxied: tuple[Site, TcpProxy], commits: int) -> None:
    """Of a reply that takes several transactions the server sends all again: a successor skips what is in Kafka."""
    site, proxy = proxied
    await (await site.ready_bridge()).terminate()
    await site.ledger.generate(14_000, keys=100)
    # The first commit is that of the claim, the last one before the trap is the reply's.
    trap = proxy.trap(END_TXN, forward=False, after=1 + commits)
    bridge = await site.bridge()
    async with asyncio.timeout(20):
        await trap.sprung.wait()
    # Not read from Kafka: a read_committed consumer would wait for the end of the open transaction.
    assert 0 < await bridge.metric("bridge_events_published_total") < 14_000
    await bridge.kill()
    trap.cut()
    bridge = await site.ready_bridge()
    await site.ledger.publish(20)
    assert await bridge.handshakes() == 0
    account = await site.settled()
    assert account.changes == ["opened"]


@pytest.mark.parametrize("forward", [False, True], ids=["request-lost", "answer-lost"])
@pytest.mark.parametrize("cut", [False, True], ids=["hanging", "cut"])
async def test_commit_of_unknown_outcome(proxied: tuple[Site, TcpProxy], *, forward: bool, cut: bool) -> None:
    """A commit whose connection hangs or ends is settled by the position in Kafka: all arrives once."""
    site, proxy = proxied
    bridge = await site.ready_bridge()
    trap = proxy.trap(END_TXN, forward=forward)
    await site.ledger.publish(20)
    async with asyncio.timeout(10):
        await trap.sprung.wait()
    if cut:
        trap.cut()
    await site.ledger.publish(20)
    await site.arrived(40)
    await bridge.ready()
    if not cut:
        assert await bridge.metric("bridge_kafka_transactions_total", result="unknown") >= 1
    trap.cut()
    assert await bridge.handshakes() == 1
    account = await site.settled()
    assert account.changes == ["opened"]


@pytest.mark.parametrize("web", [{"max_interval": 20.0}], indirect=True)
async def test_kill_at_least_once(site: Site) -> None:
    """Without transactions kill -9 loses nothing either; what comes again has the id that it had before."""
    chance = random.Random(5)  # noqa: S311 - moments, not secrets
    bridge = await site.ready_bridge(KAFKA__DELIVERY="at-least-once")
    async with site.load():
        for _ in range(6):
            await bridge.ready()
            await asyncio.sleep(chance.uniform(0, 0.5))  # the moment is the fault
            await bridge.kill()
            bridge = await site.bridge(KAFKA__DELIVERY="at-least-once")
        await bridge.ready()
    account = await site.settled(doubles=True)
    assert set(account.changes) == {"opened"}
