"""Each fault of Web Services under an operation: what the caller is told, and how the operation ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.simulator import Fault
from tests.fault_proxy import FaultProxy
from tests.faults.operations import Caller, caller, forwarded, statuses
from tests.faults.site import Site
from tests.faults.test_operations import LATE

SHORT_TIMEOUT = {"OPERATIONS__ACKNOWLEDGEMENT_TIMEOUT": "2"}


@asynccontextmanager
async def behind_proxy(site: Site, **changes: str) -> AsyncIterator[tuple[Caller, FaultProxy]]:
    """A bridge whose way to Web Services leads through a proxy with faults; it is logged in."""
    proxy = FaultProxy(site.web.url)
    await proxy.start()
    try:
        bridge = await site.ready_bridge(WEB_SERVICES__URL=proxy.url, **changes)
        async with caller(bridge) as rest:
            yield rest, proxy
        assert (await bridge.terminate()).status == 0
    finally:
        await proxy.stop()


async def test_state_problem(site: Site) -> None:
    """HTTP 500 with statusCode 4 is a 409 with upstream's number; it is not sent again, and ends as rejected."""
    bridge = await site.ready_bridge()
    await site.web.faults.add("status-4:rest:1")
    async with caller(bridge) as rest:
        for _ in range(2):
            answer = await rest.post("1")
            assert (answer.status, answer.body["code"], answer.body["statusCode"]) == (409, "upstream-rejected", 4)
            assert answer.body["referenceId"] == "1"
    assert await statuses(site, "1", "rejected") == ["requested", "rejected"]
    assert (await forwarded(site))["1"] <= 1


@pytest.mark.parametrize("code", [3, 5])
async def test_forbidden(site: Site, code: int) -> None:
    """A 403 with statusCode 3 or 5 stays one, and the operation is rejected."""
    bridge = await site.ready_bridge()
    await site.web.faults.add(f"forbidden-{code}:rest:1")
    async with caller(bridge) as rest:
        answer = await rest.post("1")
        assert (answer.status, answer.body["statusCode"]) == (403, code)
    assert await statuses(site, "1", "rejected") == ["requested", "rejected"]


@LATE
@pytest.mark.parametrize("fault", ["status-20", "csrf-invalid"])
async def test_ended_login_is_repaired(site: Site, fault: str) -> None:
    """A 403 for want of a login or of a token is the bridge's to repair: the caller sees the acknowledgement."""
    bridge = await site.ready_bridge()
    async with caller(bridge) as rest:
        await rest.post("0", "wait=5")
        await site.web.faults.add(f"{fault}:rest:1")
        assert (await rest.post("1", "wait=20")).body["status"] == "acknowledged"
    assert await statuses(site, "1", "acknowledged") == ["requested", "accepted", "acknowledged"]


@pytest.mark.parametrize(("fault", "most"), [("html-503", 1), ("reset", 1), ("cut-reply", 2)])
async def test_passing_fault_is_ridden_out(site: Site, fault: str, most: int) -> None:
    """A balancer's 503, a reset and a cut reply are ridden out: the caller sees no fault, Web Services one request.

    After a cut reply Web Services gets a second request if the acknowledgement takes longer than the pause.
    """
    async with behind_proxy(site) as (rest, proxy):
        proxy.faults.add(Fault(fault, on="rest", times=1))
        assert (await rest.post("1", "wait=20")).body["status"] == "acknowledged"
        await statuses(site, "1", "acknowledged")
    requests = await forwarded(site)
    assert requests.keys() == {"1"}
    assert requests["1"] <= most


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("html-503", 502, "upstream-invalid-reply"), ("reset", 503, "upstream-unreachable")],
)
async def test_lasting_fault_is_told(site: Site, fault: str, status: int, code: str) -> None:
    """A fault that lasts is the caller's problem, with the reference; the operation, of unknown outcome, times out."""
    async with behind_proxy(site, **SHORT_TIMEOUT) as (rest, proxy):
        proxy.faults.add(Fault(fault, on="rest"))
        answer = await rest.post("1")
        assert (answer.status, answer.body["code"], answer.body["referenceId"]) == (status, code, "1")
        proxy.faults.clear()
        await rest.until("1", "timed-out")


async def test_broken_json(site: Site) -> None:
    """A reply that is no JSON is a 502 and not tried again; the acknowledgement ends the operation all the same."""
    async with behind_proxy(site) as (rest, proxy):
        proxy.faults.add(Fault("broken-json", on="rest", times=1))
        answer = await rest.post("1")
        assert (answer.status, answer.body["code"]) == (502, "upstream-invalid-reply")
        await rest.until("1", "acknowledged")
    assert await forwarded(site) == {"1": 1}


async def test_slow_reply(site: Site) -> None:
    """A reply that takes 8 s is waited for."""
    async with behind_proxy(site) as (rest, proxy):
        proxy.faults.add(Fault("slow", on="rest", times=1, delay=8))
        answer = await rest.post("1")
        assert (answer.status, answer.body["statusCode"]) == (200, 0)
        await rest.until("1", "acknowledged")
