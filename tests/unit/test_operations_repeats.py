"""The same referenceId twice is forwarded once, and a promise is kept across a crash."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bridge.errors import (
    Conflict,
    KafkaUnavailable,
    LedgerUnread,
    UpstreamRejected,
    UpstreamTimeout,
)
from bridge.operations import LEDGER_TOPIC, Submission
from tests.memory_kafka import MemoryKafka, MemoryLedger
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
    from collections.abc import Callable, Sequence

    from bridge.delivery import ConsumedRecord
    from bridge.delivery.ledger.follower import Take

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
        with pytest.raises(LedgerUnread):
            service.get("1")
        with pytest.raises(LedgerUnread):
            await service.list()
        kafka.available.set()
        assert [view.status for view in await asyncio.gather(*both)] == ["acknowledged"] * 2
        assert service.get("1").status == "acknowledged"
    assert len(upstream.requests) == 1


class SlowLedger(MemoryLedger):
    """Passes one record after the other, with a pause before each."""

    async def follow(self, take: Take, caught_up: Callable[[], None]) -> None:
        async def slowly(records: Sequence[ConsumedRecord]) -> None:
            for record in records:
                await asyncio.sleep(0.05)
                await take([record])

        await super().follow(slowly, caught_up)


async def test_long_ledger_is_waited_for() -> None:
    """While the ledger is being read, a request waits as long as that takes. So a known one is not forwarded again."""
    kafka, upstream = MemoryKafka(), ScriptedUpstream()
    async with running(upstream, kafka) as service:
        for number in range(15):
            await service.submit(submission(str(number)))
    kafka.available.clear()
    ledger = SlowLedger(kafka, LEDGER_TOPIC)
    async with running(upstream, kafka, ledger=ledger, load_patience=0.9) as service:
        kafka.available.set()
        assert (await service.submit(submission("14"))).status == "accepted"
    assert len(upstream.requests) == 15


async def test_ledger_is_not_waited_for_long() -> None:
    """Where Kafka is away at the start, operations go through after a short while, and are known from then on."""
    kafka = MemoryKafka()
    kafka.available.clear()
    async with running(ScriptedUpstream(), kafka, load_patience=0.05) as service:
        assert (await service.submit(submission())).status == "accepted"
        assert service.get("1").status == "accepted"


async def test_new_reference_does_not_wait_for_the_ledger() -> None:
    """A request whose referenceId the bridge makes can't be a repetition, so it does not wait as others do."""
    kafka = MemoryKafka()
    kafka.available.clear()
    async with running(ScriptedUpstream(), kafka, load_patience=600) as service, asyncio.timeout(30):
        repeatable = asyncio.ensure_future(service.submit(submission("1")))
        finished, _ = await asyncio.wait([repeatable], timeout=0.05)
        assert not finished
        assert (await service.submit(submission(None))).status == "accepted"
        repeatable.cancel()


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
        await eventually(lambda: listed(service))
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
        await eventually(lambda: lists(service, "1", "last"))  # all of it has been read once more
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
