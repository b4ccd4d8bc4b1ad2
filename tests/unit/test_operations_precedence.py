"""Of several replicas that get the same request at the same moment, one forwards it, and the ledger decides which."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import Conflict, UpstreamRejected
from bridge.events import operation, operation_record
from bridge.operations import LEDGER_TOPIC
from bridge.operations.forwarding import operation_forwarder
from bridge.operations.ledger.precedence import Precedence
from tests.memory_kafka import MemoryKafka
from tests.unit.operation_parts import (
    KEYS,
    STATE,
    GatedLedger,
    ScriptedUpstream,
    event,
    fresh,
    lists,
    running,
    signed,
    statuses,
    submission,
    told,
)
from tests.waiting import eventually

if TYPE_CHECKING:
    from bridge.operations import OperationsService

IN_FLEET: Any = {"in_fleet": True}


def submit(service: OperationsService, *, asynchronous: bool, **changes: Any) -> asyncio.Task[Any]:
    call = service.submit_async if asynchronous else service.submit
    return asyncio.create_task(call(submission(**changes)))


@pytest.mark.parametrize("second", [False, True], ids=["second-waits", "second-async"])
@pytest.mark.parametrize("first", [False, True], ids=["first-waits", "first-async"])
async def test_same_request_at_two_replicas_at_the_same_moment_is_forwarded_once(*, first: bool, second: bool) -> None:
    """Both callers get the verdict of the one forwarding, or at least its promise."""
    kafka, web = MemoryKafka(), ScriptedUpstream()
    async with running(web, kafka, **IN_FLEET) as one, running(web, kafka, **IN_FLEET) as other:
        calls = [submit(one, asynchronous=first), submit(other, asynchronous=second)]
        await asyncio.wait_for(asyncio.gather(*calls), 30)
        await eventually(lambda: one.get("1").status == other.get("1").status == "accepted")
    assert len(web.requests) == 1
    assert statuses(kafka) == ["requested", "requested", "accepted"]
    assert {one.attempt for one in told(kafka)} == {1}


async def test_every_caller_of_the_replica_that_came_second_gets_the_verdict() -> None:
    """Requests that wait for the replica's own forwarding wait for that of the other replica then."""
    kafka, web = MemoryKafka(), ScriptedUpstream(STATE)
    async with running(web, kafka, **IN_FLEET) as one, running(web, kafka, **IN_FLEET) as other:
        calls = [submit(service, asynchronous=False) for service in (one, other, other, one)]
        for call in calls:
            with pytest.raises(UpstreamRejected):
                await asyncio.wait_for(call, 30)
    assert len(web.requests) == 1


async def test_another_request_under_the_same_reference_is_refused() -> None:
    """The replica whose event comes second compares the requests, as for any repeated referenceId."""
    kafka, web = MemoryKafka(), ScriptedUpstream()
    async with running(web, kafka, **IN_FLEET) as one, running(web, kafka, **IN_FLEET) as other:
        calls = [submit(one, asynchronous=False), submit(other, asynchronous=False, handle=14)]
        outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30)
    assert len(web.requests) == 1
    assert [type(one) for one in outcomes].count(Conflict) == 1


async def test_next_attempt_at_two_replicas_at_the_same_moment_is_forwarded_once() -> None:
    """After a refused login both replicas may forward the request again, and one of them does."""
    kafka = MemoryKafka()
    login = UpstreamRejected("login", http_status=401, status_code=8, status_message="")
    web = ScriptedUpstream(login)
    async with running(web, kafka, **IN_FLEET) as one, running(web, kafka, **IN_FLEET) as other:
        with pytest.raises(UpstreamRejected):
            await one.submit(submission())
        await eventually(lambda: lists(other, "1"))
        await eventually(lambda: other.get("1").status == "rejected")
        await asyncio.gather(one.submit(submission()), other.submit(submission()))
    assert len(web.requests) == 2
    assert max(one.attempt for one in told(kafka)) == 2


async def test_request_of_a_replica_that_died_after_its_event_is_taken_up_by_the_other() -> None:
    """The caller at the second replica waits as for any request that another replica forwards, and it is attempt 2."""
    kafka, web = MemoryKafka(), ScriptedUpstream()
    await KEYS.start("ledger")
    ledger = GatedLedger(kafka, LEDGER_TOPIC)
    async with running(web, kafka, ledger=ledger, forward_deadline=0.5, **IN_FLEET) as service:
        ledger.gate.clear()
        call = submit(service, asynchronous=False)
        await eventually(lambda: ledger.writing)
        dead = Precedence("dead").mark(signed(operation_record(event("requested", **fresh()))))
        kafka.records.append(dead)
        ledger.gate.set()
        assert (await asyncio.wait_for(call, 30)).attempt == 2
    assert len(web.requests) == 1


async def test_without_kafka_nobody_waits_and_the_ledger_says_later_that_it_was_forwarded_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both replicas forward the request after a short wait. When Kafka is back, the second one counts an attempt."""
    monkeypatch.setattr(operation_forwarder, "PRECEDENCE_DEADLINE", 0.05)
    kafka, web = MemoryKafka(), ScriptedUpstream()
    async with running(web, kafka, **IN_FLEET) as one, running(web, kafka, **IN_FLEET) as other:
        kafka.available.clear()
        await asyncio.wait_for(asyncio.gather(one.submit(submission()), other.submit(submission())), 30)
        assert len(web.requests) == 2
        kafka.available.set()
        await eventually(lambda: [one.attempt for one in told(kafka) if one.status == "accepted"] == [1, 1, 2])
        await eventually(lambda: one.get("1").attempt == other.get("1").attempt == 2)


async def test_forwarding_that_is_late_for_the_ledger_counts_its_attempt_with_its_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A replica that learns during its forwarding that another one forwards, too, says so in the verdict's event."""
    monkeypatch.setattr(operation_forwarder, "PRECEDENCE_DEADLINE", 0.05)
    kafka, answer = MemoryKafka(), asyncio.Event()
    web = ScriptedUpstream(answer)
    await KEYS.start("ledger")
    ledger = GatedLedger(kafka, LEDGER_TOPIC)
    async with running(web, kafka, ledger=ledger, **IN_FLEET) as service:
        ledger.gate.clear()
        call = submit(service, asynchronous=False)
        await eventually(lambda: web.requests)
        kafka.records.append(Precedence("other").mark(signed(operation_record(event("requested", **fresh())))))
        await ledger.catch_up()
        answer.set()
        await asyncio.wait_for(call, 30)
        ledger.gate.set()
        await eventually(lambda: [one.attempt for one in told(kafka)] == [1, 1, 2])


async def test_without_a_fleet_a_request_does_not_wait_for_the_ledger() -> None:
    """A single bridge forwards before its event is in Kafka, and its events name no process."""
    kafka, web = MemoryKafka(), ScriptedUpstream()
    ledger = GatedLedger(kafka, LEDGER_TOPIC)
    async with running(web, kafka, ledger=ledger) as service:
        ledger.gate.clear()
        await asyncio.wait_for(service.submit(submission()), 30)
        ledger.gate.set()
        await eventually(lambda: statuses(kafka) == ["requested", "accepted"])
    assert not any(operation.PROCESS in dict(record.headers) for record in kafka.records)


async def test_no_attempt_number_takes_long_to_compare() -> None:
    """An event with the highest attempt number decides a request at once, like every other event."""
    precedence = Precedence()
    first = precedence.of(event("requested"))
    precedence.read(event("requested", attempt=2**63 - 1), {})
    assert first.result() is False
