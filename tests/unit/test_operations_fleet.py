"""Operations in a fleet: any replica forwards them, and the one that relays the account goes on after a death."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import UpstreamTimeout, UpstreamUnreachable
from bridge.events import operation_record, rfc3339
from bridge.operations import LEDGER_TOPIC, Submission
from bridge.operations.forwarding import fleet_recovery
from bridge.operations.ledger.journal import APPEND_DEADLINE
from bridge.operations.view import view
from bridge.webservices.request_models import CompleteRecord
from tests.memory_kafka import MemoryKafka, MemoryLedger
from tests.unit.operation_parts import (
    ACCOUNT,
    KEYS,
    SAMPLE,
    GatedLedger,
    ScriptedUpstream,
    acknowledgement,
    event,
    fresh,
    lists,
    running,
    signed,
    statuses,
    submission,
    told,
    turn,
)
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from bridge.delivery import ConsumedRecord
    from bridge.delivery.ledger.follower import Take
    from bridge.operations import OperationsService

DEADLINE = 20.0
SILENCE = DEADLINE + fleet_recovery.MARGIN
"""Seconds after which nobody forwards an operation any more."""


class Clock:
    """The time by which replicas measure the silence of operations. It stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Wait for the next look of a replica at its operations, but shorter than it asks for."""
        self.looks += 1
        await asyncio.sleep(seconds / 1000)

    async def looked(self) -> None:
        """Wait until every replica has looked at its operations again."""
        before = self.looks
        await eventually(lambda: self.looks > before + 50)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(view, "monotonic", clock)
    monkeypatch.setattr(fleet_recovery, "sleep", clock.sleep)
    return clock


@asynccontextmanager
async def replica(
    upstream: ScriptedUpstream, kafka: MemoryKafka, *, relays: bool = False, **parts: Any
) -> AsyncIterator[OperationsService]:
    """A replica of a fleet that has read the ledger. `relays` says whether it relays the account."""
    async with running(upstream, kafka, in_fleet=True, forward_deadline=DEADLINE, **parts) as service:
        if relays:
            service.correlator(ACCOUNT).turned()
        else:
            service.correlator(ACCOUNT).stop()
        yield service


def take_over(service: OperationsService) -> None:
    """Make the replica relay the account."""
    service.correlator(ACCOUNT).relaying_since = 0.0
    service.correlator(ACCOUNT).turned()


async def left_by_a_dead_replica(kafka: MemoryKafka, reference: str = "1", **changes: Any) -> None:
    """Add an operation whose replica died before Web Services' verdict."""
    await KEYS.start("ledger")
    kafka.records.append(signed(operation_record(event("requested", reference=reference, **fresh(**changes)))))


def knows(service: OperationsService, reference: str) -> Callable[[], object]:
    return lambda: lists(service, reference)


async def test_owner_leaves_what_a_living_replica_forwards(clock: Clock) -> None:
    """The owner forwards what a dead replica left, but not what another one took later and may still forward."""
    kafka, answer, owner = MemoryKafka(), asyncio.Event(), ScriptedUpstream()
    await left_by_a_dead_replica(kafka, "dead", asynchronous=True)
    async with replica(ScriptedUpstream(answer), kafka) as living, replica(owner, kafka, relays=True) as service:
        await clock.looked()
        assert owner.requests == []
        clock.now = 5.0
        await living.submit_async(submission("living"))
        await eventually(knows(service, "living"))
        await clock.looked()
        clock.now = SILENCE + 4.9
        await eventually(lambda: statuses(kafka, "dead") == ["requested", "requested", "accepted"])
        await clock.looked()
        answer.set()
        await eventually(lambda: service.get("living").status == "accepted")
    assert statuses(kafka, "living") == ["requested", "accepted"]
    assert len(owner.requests) == 1


async def test_new_owner_leaves_what_a_living_replica_forwards(clock: Clock) -> None:
    """A takeover is no reason to forward, or to end, what another living replica forwards just then."""
    kafka, answer, owner = MemoryKafka(), asyncio.Event(), ScriptedUpstream()
    complete = CompleteRecord.model_validate(SAMPLE | {"referenceId": "once", "operationName": "CompleteRecord"})
    enabled: dict[str, Any] = {"enabled": ("DoNotCallRecord", "CompleteRecord"), "acknowledgement_timeout": 0.1}
    async with (
        replica(ScriptedUpstream(answer, answer), kafka, **enabled) as living,
        replica(owner, kafka, **enabled) as service,
    ):
        await living.submit_async(submission())
        await living.submit_async(Submission(None, 13, complete, requested_by="crm"))
        await eventually(knows(service, "1"))
        await eventually(knows(service, "once"))
        take_over(service)
        await left_by_a_dead_replica(kafka, "ended", received_at=rfc3339(time.time() - 7200))
        await eventually(knows(service, "ended"))
        clock.now = 0.2  # all three are older than the time-out now
        await eventually(lambda: statuses(kafka, "ended") == ["requested", "timed-out"])
        assert owner.requests == []
        assert statuses(kafka) == statuses(kafka, "once") == ["requested"]
        answer.set()
        await eventually(lambda: statuses(kafka, "once")[:2] == statuses(kafka)[:2] == ["requested", "accepted"])


async def test_promise_of_a_replica_that_dies_later_is_kept(clock: Clock) -> None:
    """A replica that did not relay the account dies long after the owner's first look: the owner forwards for it."""
    kafka, never, owner = MemoryKafka(), asyncio.Event(), ScriptedUpstream()
    async with replica(owner, kafka, relays=True) as service:
        await clock.looked()
        async with replica(ScriptedUpstream(never), kafka) as dying:
            await dying.submit_async(submission())
        await eventually(knows(service, "1"))
        await clock.looked()
        assert owner.requests == []
        clock.now = SILENCE
        await eventually(lambda: service.get("1").status == "accepted")
    assert [(one.status, one.attempt) for one in told(kafka)] == [("requested", 1), ("requested", 2), ("accepted", 2)]
    assert len(owner.requests) == 1


async def test_standby_has_measured_the_silence_before_it_takes_over(clock: Clock) -> None:
    """A replica that has stood by need not wait again: it forwards what is silent as soon as it relays the account."""
    kafka, standby = MemoryKafka(), ScriptedUpstream()
    await left_by_a_dead_replica(kafka, asynchronous=True)
    async with replica(standby, kafka) as service:
        await clock.looked()
        clock.now = SILENCE
        await clock.looked()
        assert standby.requests == []
        take_over(service)
        await eventually(lambda: service.get("1").status == "accepted")


async def test_another_attempt_is_another_sign_of_life(clock: Clock) -> None:
    """A replica that forwards the operation as its next attempt has the whole time for that, too."""
    kafka, owner = MemoryKafka(), ScriptedUpstream()
    await left_by_a_dead_replica(kafka, asynchronous=True)
    async with replica(owner, kafka, relays=True) as service:
        await clock.looked()
        clock.now = SILENCE - 0.1
        await left_by_a_dead_replica(kafka, asynchronous=True, attempt=2)
        await eventually(lambda: service.get("1").attempt == 2)
        await clock.looked()
        clock.now = 2 * SILENCE - 0.2
        await clock.looked()
        assert owner.requests == []
        clock.now = 2 * SILENCE
        await eventually(lambda: service.get("1").status == "accepted")
    assert [one.attempt for one in told(kafka)] == [1, 2, 3, 3]


async def test_without_a_verdict_the_owner_tries_once(clock: Clock) -> None:
    """What the owner itself forwarded without a verdict waits for its acknowledgement, and then times out."""
    kafka = MemoryKafka()
    gateway = UpstreamUnreachable("cut", sent=True)
    owner = ScriptedUpstream(gateway, UpstreamTimeout("slow"))
    await left_by_a_dead_replica(kafka, asynchronous=True)
    async with replica(owner, kafka, relays=True, acknowledgement_timeout=1.0) as service:
        await clock.looked()
        clock.now = SILENCE
        await eventually(lambda: service.get("1").attempt == 3)
        await clock.looked()
        clock.now = 3 * SILENCE
        await eventually(lambda: service.get("1").status == "timed-out")
    assert len(owner.requests) == 2
    assert [(one.status, one.attempt) for one in told(kafka)] == [
        ("requested", 1),
        ("requested", 2),
        ("requested", 3),
        ("timed-out", 3),
    ]


class LateLedger(MemoryLedger):
    """Hands over what comes after the start only while `gate` is open. `asked` tells that somebody waits for it."""

    def __init__(self, kafka: MemoryKafka) -> None:
        super().__init__(kafka, LEDGER_TOPIC)
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()

    async def catch_up(self) -> None:
        self.asked.set()
        await super().catch_up()

    async def follow(self, take: Take, caught_up: Callable[[], None]) -> None:
        started = False

        def at_the_end() -> None:
            nonlocal started
            started = True
            caught_up()

        async def late(records: Sequence[ConsumedRecord]) -> int | None:
            if started and records:
                await self.gate.wait()
            return await take(records)

        await super().follow(late, at_the_end)


async def test_owner_reads_on_before_it_forwards(clock: Clock) -> None:
    """To an owner that lags behind the ledger every operation looks silent, so it reads to the end first."""
    kafka, owner = MemoryKafka(), ScriptedUpstream()
    await left_by_a_dead_replica(kafka, asynchronous=True)
    ledger = LateLedger(kafka)
    async with replica(owner, kafka, relays=True, ledger=ledger) as service:
        await clock.looked()
        kafka.records.append(signed(operation_record(event("accepted", **fresh(asynchronous=True)))))
        clock.now = SILENCE
        await asyncio.wait_for(ledger.asked.wait(), 30)
        ledger.gate.set()
        await eventually(lambda: service.get("1").status == "accepted")
        await clock.looked()
    assert owner.requests == []


async def test_owner_forwards_nothing_while_kafka_is_away(clock: Clock) -> None:
    """Without Kafka the owner can't learn who lives, so it forwards when Kafka is back."""
    kafka, owner = MemoryKafka(), ScriptedUpstream()
    await left_by_a_dead_replica(kafka, asynchronous=True)
    async with replica(owner, kafka, relays=True) as service:
        await clock.looked()
        kafka.available.clear()
        clock.now = SILENCE
        await clock.looked()
        assert owner.requests == []
        kafka.available.set()
        await eventually(lambda: service.get("1").status == "accepted")


async def test_attempt_that_kafka_did_not_confirm_is_not_made(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others may have read it long ago, and the account may have moved: a later look decides anew."""
    monkeypatch.setattr("bridge.operations.ledger.journal.APPEND_DEADLINE", 0.05)
    kafka, owner = MemoryKafka(), ScriptedUpstream()
    ledger = GatedLedger(kafka, LEDGER_TOPIC)
    await left_by_a_dead_replica(kafka, asynchronous=True)
    async with replica(owner, kafka, relays=True, ledger=ledger) as service:
        await clock.looked()
        ledger.gate.clear()
        clock.now = SILENCE
        await eventually(lambda: ledger.writing)
        service.correlator(ACCOUNT).stop()  # the account moves to another replica
        await service.drain(30)
        ledger.gate.set()
        await eventually(lambda: service.get("1").attempt == 2)
        clock.now = 3 * SILENCE
        await clock.looked()
    assert owner.requests == []


async def test_what_was_acknowledged_meanwhile_is_not_forwarded(clock: Clock) -> None:
    """The acknowledgement of an operation whose replica died ends it, and there is nothing to forward."""
    kafka, owner = MemoryKafka(), ScriptedUpstream()
    await left_by_a_dead_replica(kafka, asynchronous=True)
    async with replica(owner, kafka, relays=True) as service:
        await turn(service, acknowledgement(), kafka=kafka)
        clock.now = SILENCE
        await clock.looked()
        assert service.get("1").status == "acknowledged"
    assert owner.requests == []


def test_margin_covers_the_write_of_the_first_event() -> None:
    """The others may read `requested` as long before the forwarding as its writer waits for Kafka's confirmation."""
    assert fleet_recovery.MARGIN > APPEND_DEADLINE


@pytest.mark.parametrize("ahead", [3000, -3000], ids=["ahead", "behind"])
async def test_another_clock_ends_no_operation_early_or_late(ahead: float) -> None:
    """The owner ends an operation of another replica after the time-out, also if its own clock is far from right."""
    kafka, timeout = MemoryKafka(), 0.5
    async with replica(ScriptedUpstream(), kafka, relays=True, ahead=ahead, acknowledgement_timeout=timeout) as owner:
        began = time.monotonic()
        await KEYS.start("ledger")
        kafka.records.append(signed(operation_record(event("accepted", **fresh()))))
        await eventually(knows(owner, "1"))
        await eventually(lambda: statuses(kafka) == ["accepted", "timed-out"])
        assert time.monotonic() - began >= timeout
