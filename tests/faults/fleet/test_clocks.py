"""The clocks of the replicas differ, and jump: nobody loses a session, and operations end when they should."""

import asyncio

import pytest

from tests.faults.fleet.replicas import OneAccount, owner, replica_of, start, told
from tests.faults.operations import Answer, caller, ledger, statuses
from tests.faults.rig import Rig
from tests.faults.site import Site

AHEAD = 3500.0
"""Seconds. Kafka refuses records whose time is more than an hour ahead (`message.timestamp.after.max.ms`). Operations
that are an hour old (`operations.async_max_age`) are given up."""
BEHIND = -3500.0
TIMEOUT = {"OPERATIONS__ACKNOWLEDGEMENT_TIMEOUT": "8"}
SLOW = pytest.mark.parametrize("web", [{"acknowledgement_delay": 3.0, "max_interval": 20.0}], indirect=True)
"""While an acknowledgement takes 3 s, each replica looks several times whether the operation is overdue."""


async def operations(three: OneAccount, round_: int) -> None:
    """One operation through each living replica is acknowledged in time."""

    async def one(number: int) -> Answer:
        async with caller(three.replicas[number]) as rest:
            return await rest.post(f"op-{round_}{number}", "wait=20", handle=10 * round_ + number)

    numbers = [number for number, replica in enumerate(three.replicas) if not replica.ended]
    for answer in await asyncio.gather(*(one(number) for number in numbers)):
        assert (answer.status, answer.body["status"]) == (200, "acknowledged")
    events = await ledger(three.site)
    for number in numbers:
        assert "timed-out" not in [event.status for event in events[f"op-{round_}{number}"]]


@SLOW
async def test_clocks_that_are_wrong(site: Site, rig: Rig) -> None:
    """The owner's clock jumps an hour ahead, its successor's an hour back. Sessions and operations live through it."""
    three = await OneAccount.of(site, await start(site, **TIMEOUT))
    names = [f"replica-{number}" for number in range(3)]
    rig.set_clock(names[three.replicas.index(three.first)], AHEAD)
    await operations(three, 1)
    async with three.load():
        await three.first.kill()
        second = await owner(three.others)
        rig.set_clock(names[three.replicas.index(second)], BEHIND)
        await site.caught_up()
    place = three.replicas.index(three.first)
    rig.set_clock(names[place], 0)
    three.replicas[place] = await replica_of(site, place, **TIMEOUT)
    await three.replicas[place].ready(within=60)
    await operations(three, 2)
    assert await owner(three.replicas) is second
    await site.web.faults.add("acknowledgement-missing:rest:1")
    async with caller(three.replicas[place]) as rest:
        assert (await rest.post("op-3", handle=30)).status == 200
    assert (await statuses(site, "op-3", "timed-out", within=30)) == ["requested", "accepted", "timed-out"]
    told(f"takeovers: {three.takeovers()}, displaced: {three.displaced()}")
    assert three.takeovers() == 2
    await three.unharmed()
