"""Three replicas share one account: one is killed, stopped, or hangs, and another goes on with its session."""

import asyncio
import time

from tests.faults.fleet.replicas import UNATTENDED, OneAccount, owner, sessions, told

HANGS = 20.0
"""Seconds for which a replica hangs: three times what the group waits for it."""


@UNATTENDED
async def test_one_account_and_three_replicas(three: OneAccount) -> None:
    """One replica relays, two stand by and are ready; the killed one's session lives on at another."""
    assert [await sessions(one) for one in three.others] == [[], []]
    async with three.load():
        killed = time.monotonic()
        await three.first.kill()
        second = await owner(three.others)
        took = time.monotonic() - killed
        await three.site.caught_up()
    told(f"takeover after kill -9: {took:.2f} s")
    assert [await one.missing() for one in three.others] == [[], []]
    assert second in three.others
    assert three.takeovers() == 2
    await three.unharmed()


@UNATTENDED
async def test_a_planned_stop_hands_over(three: OneAccount) -> None:
    """SIGTERM: the owner leaves politely, and another replica polls its session."""
    async with three.load():
        stopped = time.monotonic()
        exit_, second = await asyncio.gather(three.first.terminate(), owner(three.others))
        took = time.monotonic() - stopped
        assert exit_.status == 0
        await three.site.caught_up()
    told(f"handover after SIGTERM: {took:.2f} s, exit {exit_.seconds:.2f} s")
    assert second in three.others
    assert three.takeovers() == 2
    await three.unharmed()


@UNATTENDED
async def test_a_replica_that_hangs(three: OneAccount) -> None:
    """SIGSTOP for 20 s: another replica takes over; the one that wakes up lets go, lives on, and stands by."""
    async with three.load():
        await three.first.suspend()
        try:
            began = time.monotonic()
            second = await owner(three.others)
            took = time.monotonic() - began
            await asyncio.sleep(HANGS - took)
        finally:
            three.first.resume()
        await three.back_to_standing_by(three.first)
        await three.site.caught_up()
        assert await owner(three.replicas) is second
    told(f"takeover after SIGSTOP: {took:.2f} s")
    assert three.takeovers() == 2
    await three.unharmed()


@UNATTENDED
async def test_a_bridge_without_the_setting_beside_a_fleet(three: OneAccount) -> None:
    """A replica that is fenced waits for an assignment, takes the slot over again, and the other bridge leaves."""
    async with three.load():
        stranger = await three.site.bridge()
        assert await stranger.exited(within=40) == 0
        assert len(stranger.events("fenced")) == 1
        await owner(three.replicas)
        await three.site.caught_up()
    assert three.first.events("slot-taken")
    assert await three.first.metric("bridge_fleet_handovers_total", reason="fenced") >= 1
    await three.unharmed()
