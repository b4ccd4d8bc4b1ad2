"""Operations in a fleet: the same request at two replicas, and a replica that ends before it forwards one."""

import asyncio

import pytest

from tests.faults.fleet.replicas import UNATTENDED_TWICE, OneAccount, start, told
from tests.faults.operations import caller, forwarded, ledger, statuses
from tests.faults.rig import Rig
from tests.faults.rigged_bridge import Point
from tests.faults.site import Site

SHORT_DEADLINE = {"OPERATIONS__FORWARD_DEADLINE": "3"}
"""Seconds. Another replica forwards the operation 10 s after that."""


async def test_the_same_request_at_two_replicas_at_the_same_moment(site: Site) -> None:
    """One of the replicas forwards it, and both callers get its verdict."""
    one, other = (await OneAccount.of(site, await start(site))).others  # acknowledgements need a CometD session
    references = [f"op-{number}" for number in range(20)]
    async with caller(one) as first, caller(other) as second:
        for number, reference in enumerate(references):
            prefer = "respond-async" if number % 2 else None
            answers = await asyncio.gather(first.post(reference, prefer), second.post(reference, prefer))
            assert [answer.status for answer in answers] == ([202, 202] if prefer else [200, 200])
        for reference in references:
            await first.until(reference, "acknowledged")
    assert await forwarded(site) == dict.fromkeys(references, 1)
    events = await ledger(site)
    assert {event.attempt for reference in references for event in events[reference]} == {1}


@UNATTENDED_TWICE
@pytest.mark.parametrize("wakes", [False, True], ids=["dies", "wakes-up"])
async def test_an_operation_of_a_replica_that_ends_before_it_forwards(site: Site, rig: Rig, *, wakes: bool) -> None:
    """The account's owner forwards it, as attempt 2. If the first replica only hung, it may forward it once more."""
    three = await OneAccount.of(site, await start(site, **SHORT_DEADLINE))
    acceptor = three.others[0]
    rig.arm(Point.FORWARDING)
    async with caller(acceptor) as rest:
        assert (await rest.post("op-1", "respond-async")).status == 202
    await rig.reached(Point.FORWARDING, [acceptor])
    await (acceptor.suspend() if wakes else acceptor.kill())
    assert await statuses(site, "op-1", "acknowledged", within=40) == [
        "requested",
        "requested",
        "accepted",
        "acknowledged",
    ]
    assert [event.attempt for event in (await ledger(site))["op-1"]] == [1, 2, 2, 2]
    assert await forwarded(site) == {"op-1": 1}
    if wakes:
        rig.release(Point.FORWARDING)
        acceptor.resume()

        async def verdict() -> bool:
            return await acceptor.metric("bridge_operations_total", outcome="accepted") == 1

        await acceptor.until(verdict, within=20, what="forwarding the operation")
        assert await forwarded(site) == {"op-1": 2}
    for one in three.replicas:
        if not one.ended:
            async with caller(one) as rest:
                await rest.until("op-1", "acknowledged")
    assert max(event.attempt for event in (await ledger(site))["op-1"]) == 2
    told(f"ledger at the end: {[(event.status, event.attempt) for event in (await ledger(site))['op-1']]}")
    await three.same_session()
