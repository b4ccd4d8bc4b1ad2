"""A replica accepts an operation with 202, and dies or hangs before it forwards the operation."""

import pytest

from tests.faults.fleet.replicas import UNATTENDED_TWICE, OneAccount, start, told
from tests.faults.operations import caller, forwarded, ledger, statuses
from tests.faults.rig import Rig
from tests.faults.rigged_bridge import Point
from tests.faults.site import Site

SHORT_DEADLINE = {"OPERATIONS__FORWARD_DEADLINE": "3"}
"""Seconds. Another replica forwards the operation 10 s after that."""


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
