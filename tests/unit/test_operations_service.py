"""The door to operations: verdicts, idempotency, promises, and that each operation ends."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from bridge.errors import (
    Busy,
    Conflict,
    KafkaUnavailable,
    LedgerUnread,
    UnknownAccount,
    UnknownOperation,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from bridge.events import operation_record
from bridge.operations import LEDGER_TOPIC, OperationRecords, Submission
from tests.memory_kafka import MemoryKafka, MemoryLedger
from tests.unit.operation_parts import (
    ACCOUNT,
    ScriptedUpstream,
    acknowledgement,
    event,
    running,
    submission,
    told,
    turn,
)
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.events import Operation, Record

STATE = UpstreamRejected("state", http_status=500, status_code=4, status_message="device d is not registered")
NOT_SENT = UpstreamUnreachable("no connection", sent=False)


class GatedLedger(MemoryLedger):
    """Writes while `gate` is open."""

    def __init__(self, kafka: MemoryKafka, topic: str) -> None:
        super().__init__(kafka, topic)
        self.gate = asyncio.Event()
        self.gate.set()
        self.writing = 0

    async def append(self, records: Sequence[Record]) -> None:
        self.writing += 1
        await self.gate.wait()
        self.writing -= 1
        await super().append(records)


def statuses(kafka: MemoryKafka, reference: str = "1") -> list[str]:
    return [one.status for one in told(kafka, reference)]


def raw(body: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(body))


def fresh(**changes: Any) -> dict[str, Any]:
    """Fields of an event of now."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    return {"at": now, "received_at": now} | changes


def outcome(name: str) -> float:
    return REGISTRY.get_sample_value("bridge_operations_total", {"account": ACCOUNT, "outcome": name}) or 0.0


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
        await eventually(lambda: service.list().operations)
        submitted.cancel()
        await asyncio.wait([submitted])
        go.set()
        await eventually(lambda: service.get("1").status == "accepted")


# -- idempotency ------------------------------------------------------------------------------------------------------


async def test_same_request_returns_the_known_outcome() -> None:
    """The same request under the same reference returns what is known, whatever that is, and forwards nothing."""
    upstream = ScriptedUpstream()
    async with running(upstream) as service:
        first = await service.submit(submission())
        assert await service.submit(submission()) == first
        assert await service.submit_async(submission()) == first
        await turn(service, acknowledgement())
        ended = await service.submit(submission())
        assert ended == await service.submit_async(submission()) == service.get("1")
        assert ended.status == "acknowledged"
        assert ended.acknowledgement is not None
        assert ended.acknowledgement.partition == 0
    assert len(upstream.requests) == 1


async def test_same_rejected_request_is_rejected_again() -> None:
    """Upstream's no stays no, with its number, and is not asked for again."""
    upstream = ScriptedUpstream(STATE)
    async with running(upstream) as service:
        for _ in range(2):
            with pytest.raises(UpstreamRejected) as refused:
                await service.submit(submission())
            assert (refused.value.status_code, refused.value.http_status) == (4, 500)
        assert (await service.submit_async(submission())).status == "rejected"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("other", [submission("1", 14), submission("1", 13, campaignName="Other")])
async def test_another_request_is_a_conflict(other: Submission) -> None:
    """A reference belongs to one request: another record or body under it is refused, also while the first runs."""
    go = asyncio.Event()
    upstream = ScriptedUpstream(go)
    async with running(upstream) as service:
        first = asyncio.ensure_future(service.submit(submission()))
        await eventually(lambda: upstream.requests)
        for submit in (service.submit, service.submit_async):
            with pytest.raises(Conflict):
                await submit(other)
        go.set()
        await first
        for submit in (service.submit, service.submit_async):
            with pytest.raises(Conflict):
                await submit(other)
    assert len(upstream.requests) == 1


async def test_order_of_fields_does_not_matter() -> None:
    """The same request is the same in any order of its fields."""
    request = submission().request
    body = dict(reversed(request.body().items()))
    upstream = ScriptedUpstream()
    async with running(upstream) as service:
        await service.submit(submission())
        await service.submit(Submission(None, 13, type(request).model_validate(body)))
    assert len(upstream.requests) == 1


async def test_same_request_waits_for_the_running_one() -> None:
    """While the first runs the same request waits for it, and both get its verdict, a refusal too."""
    go = asyncio.Event()
    upstream = ScriptedUpstream(go)
    async with running(upstream) as service:
        both = [asyncio.ensure_future(service.submit(submission())) for _ in range(2)]
        await eventually(lambda: upstream.requests)
        assert not any(one.done() for one in both)
        go.set()
        one, other = await asyncio.gather(*both)
        assert one == other
    assert len(upstream.requests) == 1


async def test_outcome_is_known_after_a_restart() -> None:
    """What the ledger tells counts as known: the next process forwards nothing either."""
    kafka, upstream = MemoryKafka(), ScriptedUpstream()
    async with running(upstream, kafka) as service:
        await service.submit(submission())
        await turn(service, acknowledgement(), kafka=kafka)
    async with running(upstream, kafka) as service:
        assert (await service.submit(submission())).status == "acknowledged"
        with pytest.raises(Conflict):
            await service.submit(submission("1", 14))
    assert len(upstream.requests) == 1


async def test_ledger_is_read_first() -> None:
    """What comes while the ledger is still being read waits for it, so a known request is not forwarded again."""
    kafka, upstream = MemoryKafka(), ScriptedUpstream()
    async with running(upstream, kafka) as service:
        await service.submit(submission())
        await turn(service, acknowledgement(), kafka=kafka)
    kafka.available.clear()
    async with running(upstream, kafka) as service:
        both = [asyncio.ensure_future(submit(submission())) for submit in (service.submit, service.submit_async)]
        await asyncio.sleep(0)
        for ask in (service.list, lambda: service.get("1")):
            with pytest.raises(LedgerUnread):
                ask()
        kafka.available.set()
        assert [view.status for view in await asyncio.gather(*both)] == ["acknowledged"] * 2
        assert service.get("1").status == "acknowledged"
    assert len(upstream.requests) == 1


async def test_ledger_is_not_waited_for_long() -> None:
    """Where Kafka is away at the start, operations go through after a short while, and are known from then on."""
    kafka = MemoryKafka()
    kafka.available.clear()
    async with running(ScriptedUpstream(), kafka, load_patience=0.05) as service:
        assert (await service.submit(submission())).status == "accepted"
        assert service.get("1").status == "accepted"


async def test_request_without_a_verdict_may_be_asked_again() -> None:
    """After a time-out of the REST call the same request is sent again under the same reference, as one that is."""
    upstream = ScriptedUpstream(UpstreamTimeout("slow"))
    async with running(upstream) as service:
        with pytest.raises(UpstreamTimeout):
            await service.submit(submission())
        assert service.get("1").status == "requested"
        again = await service.submit(submission())
        assert (again.status, again.attempt) == ("accepted", 2)


async def test_other_replicas_run_is_waited_for() -> None:
    """A request that another replica has under way gets that one's verdict, and is not forwarded here."""
    kafka, upstream = MemoryKafka(), ScriptedUpstream()
    async with running(upstream, kafka) as service:
        common = fresh(request=raw(submission().request.body()))
        kafka.records.append(service.correlator(ACCOUNT).record(event("requested", **common)))
        await eventually(lambda: service.list().operations)
        submitted = asyncio.ensure_future(service.submit(submission()))
        await asyncio.sleep(0)
        kafka.records.append(service.correlator(ACCOUNT).record(event("accepted", **common)))
        assert (await submitted).status == "accepted"
    assert upstream.requests == []


# -- promises ---------------------------------------------------------------------------------------------------------


async def test_promise_is_durable_first() -> None:
    """When submit_async returns, the request is in the ledger; it is forwarded then."""
    kafka, go = MemoryKafka(), asyncio.Event()
    upstream = ScriptedUpstream(go)
    async with running(upstream, kafka) as service:
        view = await service.submit_async(submission())
        assert (view.status, view.asynchronous) == ("requested", True)
        assert statuses(kafka) == ["requested"]
        await eventually(lambda: upstream.requests)
        go.set()
        await eventually(lambda: statuses(kafka) == ["requested", "accepted"])


async def test_no_promise_on_a_run_without_one() -> None:
    """While the same request runs for a caller who waits, nothing is promised: both get the verdict."""
    go = asyncio.Event()
    upstream = ScriptedUpstream(go)
    async with running(upstream) as service:
        first = asyncio.ensure_future(service.submit(submission()))
        await eventually(lambda: upstream.requests)
        second = asyncio.ensure_future(service.submit_async(submission()))
        await asyncio.wait([second], timeout=0.05)
        assert not second.done()
        go.set()
        assert await second == await first
    assert len(upstream.requests) == 1


async def test_promise_after_no_verdict() -> None:
    """What a synchronous call left without a verdict is promised as the next attempt, and survives a crash."""
    kafka, never = MemoryKafka(), asyncio.Event()
    async with running(ScriptedUpstream(UpstreamTimeout("slow"), never), kafka) as service:
        with pytest.raises(UpstreamTimeout):
            await service.submit(submission())
        view = await service.submit_async(submission())
        assert (view.status, view.asynchronous, view.attempt) == ("requested", True, 2)
        assert [(one.status, one.attempt) for one in told(kafka)] == [("requested", 1), ("requested", 2)]
    async with running(ScriptedUpstream(), kafka) as service:
        service.correlator(ACCOUNT).turned()
        await eventually(lambda: service.get("1").status == "accepted")


async def test_promise_outlives_a_caller_who_waits() -> None:
    """A promise stays one when the same request is sent anew without `respond-async`."""
    never, before = asyncio.Event(), outcome("failed")
    async with running(ScriptedUpstream(UpstreamTimeout("slow"), never)) as service:
        await service.submit_async(submission())
        await eventually(lambda: outcome("failed") == before + 1)
        waiting = asyncio.ensure_future(service.submit(submission()))
        await eventually(lambda: service.get("1").attempt == 2)
        assert service.get("1").asynchronous
    await asyncio.wait([waiting])


async def test_promise_that_was_not_given_is_behind_the_next_one() -> None:
    """A request that was not durable in time is taken back; sent again, it ends by its own verdict all the same."""
    kafka = MemoryKafka()
    ledger = GatedLedger(kafka, LEDGER_TOPIC)
    async with running(ScriptedUpstream(), kafka, ledger=ledger) as service:
        ledger.gate.clear()
        given_up = asyncio.ensure_future(service.submit_async(submission()))
        await eventually(lambda: ledger.writing)
        given_up.cancel()
        await asyncio.wait([given_up])
        assert service.get("1").undelivered
        again = asyncio.ensure_future(service.submit_async(submission()))
        await asyncio.sleep(0)
        ledger.gate.set()
        assert (await again).status == "requested"
        await eventually(lambda: statuses(kafka) == ["requested", "rejected", "requested", "accepted"])
        kafka.records.append(service.correlator(ACCOUNT).record(event("requested", reference="last", **fresh())))
        await eventually(lambda: len(service.list().operations) == 2)  # the tail has read all of it once more
        assert service.get("1").status == "accepted"


async def test_no_promise_without_kafka() -> None:
    """While Kafka is away nothing is promised nor forwarded; synchronous operations go through, told afterwards."""
    kafka, upstream = MemoryKafka(), ScriptedUpstream()
    async with running(upstream, kafka) as service:
        kafka.available.clear()
        assert (await service.submit(submission("1"))).status == "accepted"

        async def refused() -> bool:
            try:
                await service.submit_async(submission("2"))
            except KafkaUnavailable:
                return True
            return False

        assert await refused()
        assert len(upstream.requests) == 1
        kafka.available.set()
        await eventually(lambda: statuses(kafka) == ["requested", "accepted"])
        assert (await service.submit_async(submission("3"))).status == "requested"


async def test_promise_is_kept_after_a_crash() -> None:
    """What was promised and has no verdict is forwarded by the next process, and told first as the second attempt."""
    kafka, never = MemoryKafka(), asyncio.Event()
    async with running(ScriptedUpstream(never), kafka) as service:
        await service.submit_async(submission())
    upstream = ScriptedUpstream()
    async with running(upstream, kafka) as service:
        await asyncio.sleep(0)
        assert upstream.requests == []  # the CometD server may still tell of it
        service.correlator(ACCOUNT).turned()
        await eventually(lambda: service.get("1").status == "accepted")
    assert [(one.status, one.attempt) for one in told(kafka)] == [("requested", 1), ("requested", 2), ("accepted", 2)]
    assert len(upstream.requests) == 1


async def test_promise_whose_acknowledgement_came_is_not_forwarded_again() -> None:
    """An acknowledgement in the server's first reply ends what a crash left, without a second forwarding."""
    kafka, never, upstream = MemoryKafka(), asyncio.Event(), ScriptedUpstream()
    async with running(ScriptedUpstream(never), kafka) as service:
        await service.submit_async(submission())
    async with running(upstream, kafka) as service:
        await turn(service, acknowledgement(), kafka=kafka)
        assert (await service.wait("1", 5)).status == "acknowledged"
    assert upstream.requests == []


async def test_old_promise_times_out() -> None:
    """A promise older than the configured age is not forwarded any more: it ends as timed-out."""
    kafka, never, upstream = MemoryKafka(), asyncio.Event(), ScriptedUpstream()
    async with running(ScriptedUpstream(never), kafka) as service:
        await service.submit_async(submission())
    async with running(upstream, kafka, async_max_age=60, ahead=100) as service:
        service.correlator(ACCOUNT).turned()
        assert (await service.wait("1", 5)).status == "timed-out"
    assert upstream.requests == []


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
        assert {view.status for view in service.list().operations} == {"timed-out"}


# -- waiting, listing, load -------------------------------------------------------------------------------------------


async def test_wait_returns_with_the_acknowledgement() -> None:
    """A waiter is woken by the commit, long before its time is over."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission())
        waiting = asyncio.ensure_future(service.wait("1", 60))
        await asyncio.sleep(0)
        await turn(service, acknowledgement())
        async with asyncio.timeout(1):
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
        await eventually(lambda: len(service.list().operations) == 2)
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
        async with asyncio.timeout(10):  # a call that finds the failed one still there waits for it
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
