"""The door to operations: verdicts, idempotency, promises, and that each operation ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from bridge.errors import (
    Busy,
    UnknownAccount,
    UnknownOperation,
    UpstreamRejected,
    UpstreamUnreachable,
)
from bridge.events import operation_record
from bridge.operations import LEDGER_TOPIC, OperationRecords, Submission
from tests.memory_kafka import MemoryKafka
from tests.unit.operation_parts import (
    ACCOUNT,
    STATE,
    GatedLedger,
    ScriptedUpstream,
    acknowledgement,
    event,
    fresh,
    listed,
    lists,
    outcome,
    raw,
    running,
    statuses,
    submission,
    told,
    turn,
)
from tests.waiting import eventually

if TYPE_CHECKING:
    from bridge.events import Operation, Record

NOT_SENT = UpstreamUnreachable("no connection", sent=False)


# -- verdicts ---------------------------------------------------------------------------------------------------------


async def test_accepted_operation_is_told() -> None:
    """The verdict comes back, the caller's name and request are in the ledger, and the counter has it."""
    kafka, upstream, before = MemoryKafka(), ScriptedUpstream(), outcome("accepted")
    async with running(upstream, kafka) as service:
        view = await service.submit(submission())
        assert (view.status, view.requested_by, view.record_handle) == ("accepted", "crm", 13)
        assert view.request == upstream.requests[0][1]
    assert statuses(kafka) == ["requested", "accepted"]
    assert outcome("accepted") == before + 1


async def test_traceparent_goes_along() -> None:
    """The caller's trace context is on each of the operation's events."""
    kafka = MemoryKafka()
    one = submission()
    traced = Submission(None, 13, one.request, None, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    async with running(ScriptedUpstream(), kafka) as service:
        await service.submit(traced)
        await turn(service, acknowledgement(), kafka=kafka)
    traces = [dict(record.headers).get("traceparent") for record in kafka.records if record.topic == "operations.v1"]
    assert traces == [b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] * 3


async def test_made_reference_is_told() -> None:
    """An operation without a reference gets one, which Web Services gets as well."""
    upstream = ScriptedUpstream()
    async with running(upstream) as service:
        view = await service.submit(submission(None))
        assert upstream.requests[0][1]["referenceId"] == view.reference_id
        assert service.get(view.reference_id) == view


async def test_rejected_operation_is_told() -> None:
    """Upstream's no comes to the caller, and the operation has ended with upstream's words."""
    kafka = MemoryKafka()
    async with running(ScriptedUpstream(STATE), kafka) as service:
        with pytest.raises(UpstreamRejected):
            await service.submit(submission())
        upstream = service.get("1").upstream
        assert upstream is not None
        assert (upstream.status_code, upstream.status_message) == (4, "device d is not registered")
    assert statuses(kafka) == ["requested", "rejected"]


async def test_unreachable_upstream_ends_the_operation() -> None:
    """What was never sent ends as rejected without a verdict, and the same request may be sent anew."""
    kafka, upstream = MemoryKafka(), ScriptedUpstream(*[NOT_SENT] * 5)
    async with running(upstream, kafka) as service:
        with pytest.raises(UpstreamUnreachable):
            await service.submit(submission())
        assert service.get("1").undelivered
        assert (await service.submit(submission())).status == "accepted"
    assert [(one.status, one.attempt) for one in told(kafka)] == [
        ("requested", 1),
        ("rejected", 1),
        ("requested", 2),
        ("accepted", 2),
    ]


async def test_what_people_must_put_right_is_told_at_once() -> None:
    """A failure of TLS is no blip: the caller hears of it after one attempt, and nothing was sent."""
    kafka, upstream = MemoryKafka(), ScriptedUpstream(UpstreamUnreachable("tls", sent=False, fault="tls-expired"))
    async with running(upstream, kafka) as service:
        with pytest.raises(UpstreamUnreachable):
            await service.submit(submission())
        assert service.get("1").undelivered
    assert statuses(kafka) == ["requested", "rejected"]


async def test_retries_are_told() -> None:
    """How often the request may have reached Web Services is in the ledger."""
    cut = UpstreamUnreachable("cut", sent=True)
    async with running(ScriptedUpstream(cut, cut)) as service:
        assert (await service.submit(submission())).attempt == 3


async def test_unknown_account() -> None:
    """An account that the settings do not have is refused."""
    async with running(ScriptedUpstream()) as service:
        with pytest.raises(UnknownAccount):
            await service.submit(Submission("nobody", 13, submission().request))


async def test_caller_that_goes_away_does_not_end_the_operation() -> None:
    """The forwarding goes on when its caller is gone."""
    go = asyncio.Event()
    async with running(ScriptedUpstream(go)) as service:
        submitted = asyncio.ensure_future(service.submit(submission()))
        await eventually(lambda: listed(service))
        submitted.cancel()
        await asyncio.wait([submitted])
        go.set()
        await eventually(lambda: service.get("1").status == "accepted")


# -- each one ends ----------------------------------------------------------------------------------------------------


async def test_missing_acknowledgement_times_out() -> None:
    """Without an acknowledgement the operation ends as timed-out, for the waiter, the ledger and the counter."""
    kafka, before = MemoryKafka(), outcome("timed-out")
    async with running(ScriptedUpstream(), kafka, acknowledgement_timeout=0.2) as service:
        service.correlator(ACCOUNT).turned()
        await service.submit(submission())
        assert (await service.wait("1", 5)).status == "timed-out"
    assert statuses(kafka) == ["requested", "accepted", "timed-out"]
    assert outcome("timed-out") == before + 1


async def test_what_a_crash_left_times_out() -> None:
    """A synchronous operation that a crash left without a verdict ends as well."""
    kafka, never = MemoryKafka(), asyncio.Event()
    async with running(ScriptedUpstream(never), kafka) as service:
        submitted = asyncio.ensure_future(service.submit(submission()))
        await eventually(lambda: statuses(kafka))
    await asyncio.wait([submitted])
    async with running(ScriptedUpstream(), kafka, acknowledgement_timeout=0.2) as service:
        service.correlator(ACCOUNT).turned()
        assert (await service.wait("1", 5)).status == "timed-out"


async def test_only_the_relaying_process_gives_up() -> None:
    """A process that does not relay the account sees none of its acknowledgements, and ends none of its operations."""
    async with running(ScriptedUpstream(), acknowledgement_timeout=0.1) as service:
        service.correlator(ACCOUNT).turned()
        service.correlator(ACCOUNT).stop()
        await service.submit(submission())
        assert (await service.wait("1", 0.5)).status == "accepted"


@pytest.mark.parametrize(
    "changes",
    [
        {"request": raw(None)},
        {"request": msgspec.Raw(b"[" * 100_000)},
        {"request": msgspec.Raw(b'{"campaignName": "\xff"}')},
        {"request": raw({"applicationId": ["134"]})},
        {"received_at": "yesterday"},
        {"at": "9"},
        {"operation": "SendFlowers", "asynchronous": True},
    ],
)
async def test_foreign_event_harms_nothing(changes: dict[str, Any]) -> None:
    """What another program wrote to the topic is passed over or ends by itself: operations go on, after a start too."""
    kafka = MemoryKafka()
    foreign = operation_record(event("requested", reference="foreign", **(fresh() | changes)))
    kafka.records.append(foreign)
    async with running(ScriptedUpstream(), kafka, acknowledgement_timeout=0.2) as service:
        service.correlator(ACCOUNT).turned()
        assert (await service.submit(submission())).status == "accepted"
        assert (await service.wait("1", 5)).status == "timed-out"
        assert {view.status for view in await listed(service)} == {"timed-out"}


# -- waiting, listing, load -------------------------------------------------------------------------------------------


async def test_wait_returns_with_the_acknowledgement() -> None:
    """A waiter is woken by the commit, long before its time is over."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission())
        waiting = asyncio.ensure_future(service.wait("1", 60))
        await asyncio.sleep(0)
        await turn(service, acknowledgement())
        async with asyncio.timeout(30):
            view = await waiting
        assert view.status == "acknowledged"
        assert view.latency_ms is not None


async def test_wait_ends_with_its_time() -> None:
    """After its time a waiter gets the operation as it stands."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission())
        assert (await service.wait("1", 0.05)).status == "accepted"


async def test_unheard_reference() -> None:
    """A reference that nobody submitted is unknown."""
    async with running(ScriptedUpstream()) as service:
        with pytest.raises(UnknownOperation):
            service.get("unheard")
        with pytest.raises(UnknownOperation):
            await service.wait("unheard", 1)


async def test_too_many_are_turned_away() -> None:
    """Beyond the turns and the waiting room an operation is refused, synchronous or not, and leaves no trace."""
    go = asyncio.Event()
    upstream, kafka = ScriptedUpstream(go, go, go), MemoryKafka()
    async with running(upstream, kafka, concurrency=1, waiting_room=2) as service:
        inside = [asyncio.ensure_future(service.submit(submission(str(number)))) for number in range(2)]
        await eventually(lambda: lists(service, "0", "1"))
        await service.submit_async(submission("2"))
        for submit in (service.submit, service.submit_async):
            with pytest.raises(Busy):
                await submit(submission("3"))
        with pytest.raises(UnknownOperation):
            service.get("3")
        go.set()
        await asyncio.gather(*inside)
        await eventually(lambda: service.get("2").status == "accepted")
        assert (await service.submit(submission("3"))).status == "accepted"
    assert upstream.most_at_once == 1


async def test_drain_waits_for_verdicts_and_takes_nothing_more() -> None:
    """A planned stop lets what is under way get its verdict, and turns away what comes."""
    go = asyncio.Event()
    upstream = ScriptedUpstream(go)
    async with running(upstream) as service:
        submitted = asyncio.ensure_future(service.submit(submission()))
        await eventually(lambda: upstream.requests)
        drained = asyncio.ensure_future(service.drain(5))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await service.submit(submission("2"))
        assert not drained.done()
        go.set()
        await drained
        assert (await submitted).status == "accepted"


async def test_a_full_view_takes_no_new_operation() -> None:
    """Where pending operations fill the view, a new one is refused and not forwarded, until one of them has ended."""
    upstream = ScriptedUpstream()
    async with running(upstream, view_limit=1) as service:
        await service.submit(submission("1"))
        for submit in (service.submit, service.submit_async):
            with pytest.raises(Busy):
                await submit(submission("2"))
        assert (await service.submit(submission("1"))).status == "accepted"
        assert len(upstream.requests) == 1
        await turn(service, acknowledgement())
        assert (await service.submit(submission("2"))).status == "accepted"


# -- a failure before the forwarding ----------------------------------------------------------------------------------


class FailingRecords(OperationRecords):
    """Fails with `failures`, one a record, then writes."""

    def __init__(self, *failures: BaseException) -> None:
        super().__init__()
        self.failures = list(failures)

    def record(self, event: Operation, traceparent: str | None = None) -> Record:
        if self.failures:
            raise self.failures.pop()
        return super().record(event, traceparent)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("failure", [UnicodeEncodeError("utf-8", "", 0, 1, "surrogate"), RuntimeError(), KeyError()])
async def test_failure_before_the_forwarding_gives_the_place_back(failure: Exception, *, asynchronous: bool) -> None:
    """An operation that fails before it is forwarded leaves the only place, and its referenceId, to the next call."""
    upstream = ScriptedUpstream()
    async with running(upstream, records=FailingRecords(failure), concurrency=1, waiting_room=0) as service:
        submit = service.submit_async if asynchronous else service.submit
        with pytest.raises(type(failure)):
            await submit(submission())
        async with asyncio.timeout(30):  # a call that finds the failed one still there waits for it
            view = await submit(submission())
            await eventually(lambda: service.get("1").status == "accepted")
            await service.submit(submission("2"))
    assert view.reference_id == "1"
    assert len(upstream.requests) == 2


async def test_cancelled_promise_gives_the_place_back() -> None:
    """A caller that goes away before its request is durable leaves its place to the next caller."""
    kafka = MemoryKafka()
    ledger = GatedLedger(kafka, LEDGER_TOPIC)
    async with running(ScriptedUpstream(), kafka, ledger=ledger, concurrency=1, waiting_room=0) as service:
        ledger.gate.clear()
        call = asyncio.create_task(service.submit_async(submission()))
        await eventually(lambda: ledger.writing == 1)
        call.cancel()
        await asyncio.wait([call])
        ledger.gate.set()
        assert (await service.submit(submission("2"))).status == "accepted"


@pytest.mark.parametrize("name", ["\ud800", "crm\udfff", "x" * 5000])
async def test_any_name_of_a_caller_can_be_recorded(name: str) -> None:
    """A caller's name that is no Unicode text, or is too long, is recorded as far as it can be written."""
    kafka = MemoryKafka()
    one = submission()
    async with running(ScriptedUpstream(), kafka, concurrency=1, waiting_room=0) as service:
        view = await service.submit(Submission(None, 13, one.request, requested_by=name))
    assert view.requested_by is not None
    assert len(view.requested_by.encode()) < 300
    assert [one.requested_by for one in told(kafka)] == [view.requested_by] * 2
