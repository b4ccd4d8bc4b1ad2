"""Operations through the bridge as a process: what callers are told, and that each one ends, whatever happens."""

import asyncio
from collections import Counter

import aiohttp
import pytest

from tests.faults.operations import Answer, Caller, caller, events_of, forwarded, ledger, statuses
from tests.faults.site import Site, killed
from tests.real import RealKafka
from tests.real.process import free_port

MANY = 600
AT_ONCE = 32
PROMISED = 200
SHORT_TIMEOUT = {"OPERATIONS__ACKNOWLEDGEMENT_TIMEOUT": "2"}
LATE = pytest.mark.parametrize("web", [{"acknowledgement_delay": 1.0}], indirect=True)
"""On a busy machine an acknowledgement that comes at once may be read before the reply: `accepted` is left out then."""


@LATE
async def test_sample_with_wait_returns_the_acknowledgement(site: Site) -> None:
    """The page's request with `Prefer: wait=5` returns its acknowledgement, and where that lies in Kafka."""
    bridge = await site.ready_bridge()
    async with caller(bridge) as rest:
        answer = await rest.post("123456789", "wait=5")
    assert (answer.status, answer.body["statusCode"], answer.body["status"]) == (200, 0, "acknowledged")
    assert answer.body["acknowledgement"]["topic"] == f"{site.prefix}.acknowledgements.v1"
    assert answer.body["acknowledgement"]["partition"] in range(3)
    assert await statuses(site, "123456789", "acknowledged") == ["requested", "accepted", "acknowledged"]


async def test_many_callers_wait_at_once(site: Site) -> None:
    """600 operations, 32 at a time, all return their acknowledgement, and each of those is on Kafka once."""
    bridge = await site.ready_bridge()
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(rest: Caller, number: int) -> Answer:
        async with turns:
            return await rest.post(str(number), "wait=20", handle=number)

    async with caller(bridge) as rest:
        answers = await asyncio.gather(*(one(rest, number) for number in range(MANY)))
    assert Counter((answer.status, answer.body.get("status")) for answer in answers) == {(200, "acknowledged"): MANY}
    acknowledged = Counter(one["referenceId"] for one in await events_of(site, "acknowledgements.v1"))
    assert acknowledged == {str(number): 1 for number in range(MANY)}
    told = await ledger(site)
    assert {tuple(event.status for event in events).count("acknowledged") for events in told.values()} == {1}
    assert {events[-1].status for events in told.values()} == {"acknowledged"}
    assert len(told) == MANY


@pytest.mark.parametrize("after", [20, 100, 180])
async def test_kill_in_the_middle_of_asynchronous_requests(site: Site, after: int) -> None:
    """What was promised with a 202 ends as acknowledged across a kill -9; the ledger tells of a second forwarding."""
    bridge = await site.ready_bridge()
    promised: list[str] = []

    async def one(rest: Caller, number: int) -> None:
        try:
            answer = await rest.post(str(number), "respond-async", handle=number)
        except aiohttp.ClientError:
            return  # the bridge died before it could promise anything
        if answer.status == 202:
            assert answer.headers["Location"] == f"/operations/{number}"
            promised.append(str(number))
            if len(promised) == after:
                await bridge.kill()

    async with caller(bridge) as rest:
        await asyncio.gather(*(one(rest, number) for number in range(PROMISED)))
    assert len(promised) >= after
    successor = await site.ready_bridge()
    async with caller(successor) as rest:
        for reference in promised:
            await rest.until(reference, "acknowledged")
    told = await ledger(site)
    times = await forwarded(site)
    for reference in promised:
        assert told[reference][-1].status == "acknowledged"
        sent = max(event.attempt for event in told[reference])
        assert 1 <= times[reference] <= sent <= 2, (reference, times[reference], [e.status for e in told[reference]])
        if sent == 2:  # no verdict of the first forwarding had come to the ledger
            first = [event.status for event in told[reference] if event.attempt == 1]
            assert "accepted" not in first


async def test_same_request_is_forwarded_once_across_a_restart(site: Site) -> None:
    """The same referenceId with the same request returns the known outcome, also from the next process; else 422."""
    bridge = await site.ready_bridge()
    async with caller(bridge) as rest:
        assert (await rest.post("7", "wait=5")).body["status"] == "acknowledged"
        assert (await rest.post("7", "wait=5")).body["status"] == "acknowledged"
        assert (await rest.post("7", handle=14)).status == 422
    await statuses(site, "7", "acknowledged")
    await bridge.kill()
    successor = await site.ready_bridge()
    async with caller(successor) as rest:
        assert (await rest.post("7", "wait=5")).body["status"] == "acknowledged"
        assert (await rest.post("7")).status == 200
        assert (await rest.post("7", handle=14)).status == 422
    assert await forwarded(site) == {"7": 1}


async def test_kafka_away(site: Site, own_kafka: RealKafka) -> None:
    """While Kafka is down operations go through, asynchronous ones get a 503; the ledger is whole afterwards."""
    bridge = await site.ready_bridge()
    async with caller(bridge) as rest:
        await rest.post("before", "wait=5")
        async with killed(own_kafka):
            answer = await rest.post("during")
            assert (answer.status, answer.body["statusCode"]) == (200, 0)
            for _ in range(2):
                refused = await rest.post("promised", "respond-async")
                assert (refused.status, refused.body["code"]) == (503, "kafka-unavailable")
                assert int(refused.headers["Retry-After"]) > 0
        await rest.until("during", "acknowledged", within=60)
        told = await statuses(site, "during", "acknowledged")
        assert told[0] == "requested"
        await bridge.ready(within=60)
        assert (await rest.post("promised", "respond-async")).status == 202
        await rest.until("promised", "acknowledged")
    assert await forwarded(site) == {"before": 1, "during": 1, "promised": 1}


async def test_acknowledgement_missing(site: Site) -> None:
    """Without an acknowledgement the caller gets 202 after its wait, and the operation ends as timed-out."""
    bridge = await site.ready_bridge(**SHORT_TIMEOUT)
    await site.web.faults.add("acknowledgement-missing:rest:1")
    async with caller(bridge) as rest:
        answer = await rest.post("1", "wait=1")
        assert (answer.status, answer.body["status"]) == (202, "accepted")
        await rest.until("1", "timed-out")
    assert await statuses(site, "1", "timed-out") == ["requested", "accepted", "timed-out"]


async def test_acknowledgement_late(site: Site) -> None:
    """An acknowledgement after the time-out turns the operation into acknowledged, and is counted as late."""
    bridge = await site.ready_bridge(**SHORT_TIMEOUT)
    await site.web.faults.add("acknowledgement-late:rest:1:delay=5")
    async with caller(bridge) as rest:
        assert (await rest.post("1")).status == 200
        await rest.until("1", "timed-out")
        await rest.until("1", "acknowledged")
    assert await statuses(site, "1", "acknowledged") == ["requested", "accepted", "timed-out", "acknowledged"]
    assert (await ledger(site))["1"][-1].late
    assert await bridge.metric("bridge_operations_total", outcome="acknowledged-late") == 1


@pytest.mark.parametrize("fault", ["numeric-reference", "no-reference"])
async def test_reference_that_comes_back_changed(site: Site, fault: str) -> None:
    """A reference that comes back as a number, or not at all, still ends the operation, as far as it can be known."""
    bridge = await site.ready_bridge()
    await site.web.faults.add(f"{fault}:rest:1")
    async with caller(bridge) as rest:
        assert (await rest.post("123", "wait=5")).body["status"] == "acknowledged"


async def test_successor_keeps_what_its_predecessor_began(site: Site) -> None:
    """An operation accepted by one bridge is acknowledged by the one that took its account over."""
    bridge = await site.ready_bridge()
    await site.web.faults.add("acknowledgement-late:rest:1:delay=4")
    async with caller(bridge) as rest:
        assert (await rest.post("1")).status == 200
    await statuses(site, "1", "accepted")
    successor = await site.ready_bridge()
    async with caller(successor) as rest:
        await rest.until("1", "acknowledged")
    assert await statuses(site, "1", "acknowledged") == ["requested", "accepted", "acknowledged"]


@LATE
async def test_acknowledgement_doubled(site: Site) -> None:
    """An acknowledgement that comes twice ends the operation once."""
    bridge = await site.ready_bridge()
    await site.web.faults.add("acknowledgement-doubled:rest:1")
    async with caller(bridge) as rest:
        assert (await rest.post("1", "wait=5")).body["status"] == "acknowledged"
        assert (await rest.post("2", "wait=5")).body["status"] == "acknowledged"
    assert await statuses(site, "1", "acknowledged") == ["requested", "accepted", "acknowledged"]
    assert len(await events_of(site, "acknowledgements.v1")) == 3


@pytest.mark.parametrize("successor", ["agent", "another"])
async def test_nobody_is_left_who_could_tell(site: Site, successor: str) -> None:
    """An operation ends though its bridge is dead, and the next one finds no Web Services, or has another account."""
    bridge = await site.ready_bridge()
    await site.web.faults.add("acknowledgement-missing:rest:1")
    async with caller(bridge) as rest:
        assert (await rest.post("1")).status == 200
    await statuses(site, "1", "accepted")
    await bridge.kill()
    bridge = await site.bridge(
        WEB_SERVICES__URL=f"http://127.0.0.1:{free_port()}",
        WEB_SERVICES__USERNAME=successor,
        OPERATIONS__ASYNC_MAX_AGE="2" if successor == "another" else "3600",
        **SHORT_TIMEOUT,
    )
    async with caller(bridge) as rest:
        await rest.until("1", "timed-out")
    assert await statuses(site, "1", "timed-out") == ["requested", "accepted", "timed-out"]
    assert len(bridge.events("operations-forsaken")) == (1 if successor == "another" else 0)
