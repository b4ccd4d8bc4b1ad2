"""A replica hangs at one point of its work, and continues exactly there when another replica relays the account."""

import asyncio
import time

import pytest

from tests.faults.fleet.replicas import UNATTENDED, UNATTENDED_TWICE, OneAccount, owner, told
from tests.faults.rig import Rig
from tests.faults.rigged_bridge import Point

AT_ONCE = 0.0
LONG = 20.0
"""Seconds: three times what the group waits for a replica, and two thirds of what Kafka waits for a transaction."""


@UNATTENDED
@pytest.mark.parametrize(
    ("point", "hangs"),
    [
        (Point.TRANSACTION_OPEN, LONG),
        (Point.TRANSACTION_OPEN, AT_ONCE),
        (Point.REPLY_ARRIVED, AT_ONCE),
        (Point.REPLY_COMMITTED, AT_ONCE),
    ],
)
async def test_the_owner_hangs_at_a_point(rigged: OneAccount, rig: Rig, point: Point, hangs: float) -> None:
    """It continues in the middle of its turn, commits nothing more, and stands by. Nobody fights for the session."""
    async with rigged.load():
        rig.arm(point)
        assert await rig.reached(point, rigged.replicas) is rigged.first
        began = time.monotonic()
        second, _ = await asyncio.gather(owner(rigged.others), asyncio.sleep(hangs))
        took = time.monotonic() - began
        await rigged.site.caught_up()
        rigged.first.resume()
        await rigged.back_to_standing_by(rigged.first)
        await rigged.site.caught_up()
        assert await owner(rigged.replicas) is second
    told(f"takeover from {point}: {took:.2f} s, {rigged.displaced()} polls displaced")
    assert rigged.takeovers() == 2
    assert rigged.displaced() <= 2
    await rigged.unharmed()


@UNATTENDED_TWICE
@pytest.mark.parametrize("point", [Point.TAKEOVER_FENCED, Point.TAKEOVER_CLAIMED])
async def test_a_takeover_hangs_at_a_point(rigged: OneAccount, rig: Rig, point: Point) -> None:
    """The new owner of a dead replica's account hangs, so a third one takes over. The hung one wakes, and stands by."""
    async with rigged.load():
        rig.arm(point)
        await rigged.first.kill()
        began = time.monotonic()
        second = await rig.reached(point, rigged.others)
        [third] = [one for one in rigged.others if one is not second]
        assert await owner([third]) is third
        took = time.monotonic() - began
        await rigged.site.caught_up()
        second.resume()
        await rigged.back_to_standing_by(second)
        await rigged.site.caught_up()
        assert await owner(rigged.others) is third
    told(f"two takeovers, the first one hangs at {point}: {took:.2f} s, {rigged.displaced()} polls displaced")
    assert rigged.takeovers() == 3
    assert rigged.displaced() <= 2
    await rigged.unharmed()
