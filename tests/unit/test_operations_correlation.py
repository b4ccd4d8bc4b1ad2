"""Which operation an acknowledgement ends."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from bridge.delivery.position.stored import StoredPosition
from bridge.delivery.slots.attempt import PublishAttempt
from bridge.errors import UpstreamUnreachable
from bridge.events import Record, operation_record, rfc3339
from bridge.operations import LEDGER_TOPIC
from bridge.operations.correlation import EARLY_ROOM, Correlator
from bridge.operations.ledger.journal import Journal
from bridge.operations.ledger.records import OperationRecords
from bridge.operations.view.view import OperationsView
from tests.memory_kafka import MemoryKafka, MemoryLedger
from tests.unit.operation_parts import (
    ACCOUNT,
    KEYS,
    ScriptedUpstream,
    acknowledgement,
    event,
    fresh,
    running,
    signed,
    submission,
    told,
    translated,
    turn,
)
from tests.waiting import eventually

if TYPE_CHECKING:
    from bridge.operations import OperationsService


def user_event(handle: int = 13) -> dict[str, object]:
    return {
        "messageType": "DeviceUserEventMessage",
        "deviceId": "d",
        "userData": {
            "GSW_USER_EVENT": "DoNotCallAcknowledge",
            "GSW_APPLICATION_ID": 134,
            "GSW_CAMPAIGN_NAME": "Campaign1",
            "GSW_RECORD_HANDLE": handle,
        },
    }


async def status(service: OperationsService, reference: str = "1") -> str:
    return service.get(reference).status


async def test_by_reference() -> None:
    """The reference tells the operation; the event names the acknowledgement and where it lies."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission())
        [told_] = await turn(service, acknowledgement())
        assert (told_.status, told_.acknowledgement_id, told_.acknowledgement_key) == (
            "acknowledged",
            "s-0",
            "134/Campaign1/13",
        )
        evidence = service.get("1").acknowledgement
        assert evidence is not None
        assert (evidence.topic, evidence.partition, evidence.late) == ("acknowledgements.v1", 0, False)


async def test_numeric_echo() -> None:
    """A reference that comes back as a number is the same reference."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission("42"))
        assert len(await turn(service, acknowledgement(42))) == 1
        assert await status(service, "42") == "acknowledged"


async def test_without_reference_the_record_tells() -> None:
    """Without a reference the one pending operation about that record is meant, by handle or by phone number."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission("1", 13, phoneNumber="3001"))
        await service.submit(submission("2", 14, phoneNumber="3002"))
        by_phone = acknowledgement(None, record={"applicationId": 134, "campaignName": "Campaign1", "phone": "3002"})
        assert [one.reference_id for one in await turn(service, acknowledgement(None), by_phone)] == ["1", "2"]


async def test_without_reference_two_candidates_are_none() -> None:
    """Two pending operations about one record can't be told apart: neither is ended."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission("1"))
        await service.submit(submission("2"))
        assert await turn(service, acknowledgement(None)) == []


@pytest.mark.parametrize(
    "message",
    [
        acknowledgement("other"),
        acknowledgement("1", notificationType="RecordRejectAcknowledge"),
        acknowledgement(None, handle=99, record={"applicationId": 134, "campaignName": "C", "recordHandle": 99}),
        acknowledgement(None, notificationType="RecordRejectAcknowledge"),
    ],
    ids=["another-reference", "another-operation", "another-record", "another-operation-without-reference"],
)
async def test_others_acknowledgements_end_nothing(message: dict[str, object]) -> None:
    """What another system asked for, or another operation's word, ends none of ours."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission())
        assert await turn(service, message) == []
        assert await status(service) == "accepted"


async def test_doubled_ends_once() -> None:
    """A doubled acknowledgement ends the operation once, in one turn and across turns."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission())
        assert len(await turn(service, acknowledgement(), acknowledgement())) == 1
        assert await turn(service, acknowledgement()) == []


async def test_uncommitted_match_is_invisible() -> None:
    """Until the transaction is committed nobody sees the operation as acknowledged, and no turn matches it again."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission())
        correlator = service.correlator(ACCOUNT)
        translation = translated(acknowledgement())
        match = await correlator.match(translation.parsed, translation.records)
        assert match is not None
        assert await status(service) == "accepted"
        assert await correlator.match(translation.parsed, translation.records) is None
        match.committed()
        assert await status(service) == "acknowledged"


async def test_own_events_lie_before_the_acknowledged_one() -> None:
    """The match waits until the operation's events are in the ledger: the newest event of a key tells its status."""
    kafka = MemoryKafka()
    async with running(ScriptedUpstream(), kafka) as service:
        await service.submit(submission())
        await turn(service, acknowledgement(), kafka=kafka)
        assert [one.status for one in told(kafka)] == ["requested", "accepted", "acknowledged"]


async def test_acknowledgement_before_the_verdict() -> None:
    """An acknowledgement that overtakes Web Services' reply stays the newest word on the ledger."""
    kafka, verdict = MemoryKafka(), asyncio.Event()
    async with running(ScriptedUpstream(verdict), kafka) as service:
        submitted = asyncio.ensure_future(service.submit(submission()))
        await eventually(lambda: told(kafka))
        await turn(service, acknowledgement(), kafka=kafka)
        verdict.set()
        view = await submitted
        assert (view.status, view.upstream is not None) == ("acknowledged", True)
    assert [one.status for one in told(kafka)] == ["requested", "acknowledged"]


async def test_acknowledgement_instead_of_a_verdict() -> None:
    """Where the reply was cut and the acknowledgement came, the caller has its answer, and nothing is sent again."""
    upstream, kafka = ScriptedUpstream(UpstreamUnreachable("cut", sent=True)), MemoryKafka()
    async with running(upstream, kafka) as service:
        submitted = asyncio.ensure_future(service.submit(submission()))
        await eventually(lambda: upstream.requests and told(kafka))
        await turn(service, acknowledgement(), kafka=kafka)
        assert (await submitted).status == "acknowledged"
    assert len(upstream.requests) == 1


async def test_acknowledgement_that_is_being_committed_instead_of_a_verdict() -> None:
    """Where the reply was cut and the acknowledgement's transaction is not over yet, the caller waits for its end."""
    upstream, kafka = ScriptedUpstream(UpstreamUnreachable("cut", sent=True)), MemoryKafka()
    async with running(upstream, kafka) as service:
        submitted = asyncio.ensure_future(service.submit(submission()))
        await eventually(lambda: upstream.requests and told(kafka))
        translation = translated(acknowledgement())
        match = await service.correlator(ACCOUNT).match(translation.parsed, translation.records)
        assert match is not None
        await asyncio.wait({submitted}, timeout=0.3)  # past the moment of the next attempt
        match.committed()
        assert (await submitted).status == "acknowledged"
    assert len(upstream.requests) == 1


async def test_late_acknowledgement() -> None:
    """After the time-out an acknowledgement still ends the operation as acknowledged, late."""
    async with running(ScriptedUpstream(), acknowledgement_timeout=0.2) as service:
        await service.submit(submission())
        service.correlator(ACCOUNT).turned()
        assert (await service.wait("1", 5)).status == "timed-out"
        [late] = await turn(service, acknowledgement())
        assert late.late
        evidence = service.get("1").acknowledgement
        assert evidence is not None
        assert evidence.late


async def test_user_event_is_a_second_evidence() -> None:
    """The record's user event is noted on the pending operation and ends nothing; after the end it is not noted."""
    async with running(ScriptedUpstream()) as service:
        await service.submit(submission("1", 13))
        await service.submit(submission("2", 14))
        assert await turn(service, user_event(13)) == []
        assert (service.get("1").status, service.get("1").user_event_id) == ("accepted", "s-0")
        [ended] = await turn(service, acknowledgement("1"))
        assert ended.user_event_id == "s-0"
        await turn(service, acknowledgement("2", handle=14))
        await turn(service, user_event(14))
        assert service.get("2").user_event_id is None


async def test_early_acknowledgement_waits_for_its_operation() -> None:
    """An acknowledgement whose operation another replica forwarded is matched when the ledger tells of it."""
    kafka = MemoryKafka()
    async with running(ScriptedUpstream(), kafka) as service:
        assert await turn(service, acknowledgement("7"), kafka=kafka) == []
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        await KEYS.start("ledger")
        from_elsewhere = event("accepted", reference="7", at=now, received_at=now)
        kafka.records.append(service.correlator(ACCOUNT).record(from_elsewhere))
        await eventually(lambda: [one.status for one in told(kafka, "7")] == ["accepted", "acknowledged"])
        assert await status(service, "7") == "acknowledged"


class Unconnected:
    """A correlator without Kafka and without a relay. `loaded` says whether the ledger is read."""

    def __init__(self, *, loaded: bool) -> None:
        self.loaded = asyncio.Event()
        if loaded:
            self.loaded.set()
        self._view = OperationsView(limit=20_000, age=60)
        journal = Journal(MemoryLedger(MemoryKafka(), LEDGER_TOPIC))
        self.correlator = Correlator(ACCOUNT, self._view, journal, OperationRecords(), loaded=self.loaded)

    async def acknowledge(self, *references: int) -> None:
        """One transaction of the relay, with acknowledgements of operations that are not known yet."""
        translation = translated(*(acknowledgement(str(reference)) for reference in references))
        match = await self.correlator.match(translation.parsed, translation.records)
        assert match is None or match.records == []

    def ends(self, reference: int) -> bool:
        """Read an operation from the ledger. Return whether an acknowledgement that came before ends it."""
        found = self._view.apply(event("accepted", reference=str(reference), **fresh()))
        assert found is not None
        self.correlator.learnt(found)
        ended = self._view.get(str(reference))
        assert ended is not None
        return ended.status == "acknowledged"


async def test_what_is_acknowledged_while_the_ledger_loads_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the ledger is loaded an acknowledgement waits for its operation, however long the loading takes."""
    monkeypatch.setattr("bridge.operations.correlation.EARLY_AGE", -1.0)  # each acknowledgement is too old
    one = Unconnected(loaded=False)
    await one.acknowledge(7, 8)
    assert one.ends(7)
    one.loaded.set()
    assert not one.ends(8)


async def test_events_wait_for_the_ledger() -> None:
    """After the relay's start no event is matched before the ledger is loaded, so that no operation is overlooked."""
    one = Unconnected(loaded=False)
    correlator, loaded = one.correlator, one.loaded
    correlator.start()
    translation = translated(acknowledgement())
    matching = asyncio.ensure_future(correlator.match(translation.parsed, translation.records))
    finished, _ = await asyncio.wait([matching], timeout=0.05)
    assert not finished
    loaded.set()
    async with asyncio.timeout(30):
        await matching


async def test_a_start_does_not_wait_for_a_long_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay goes on with its session though the ledger is not loaded, and until then ends no operation."""
    monkeypatch.setattr("bridge.operations.correlation.LOAD_PATIENCE", 0.01)
    one = Unconnected(loaded=False)
    correlator, loaded = one.correlator, one.loaded
    correlator.start()
    async with asyncio.timeout(30):
        translation = translated(acknowledgement())
        match = await correlator.match(translation.parsed, translation.records)
    assert match is not None
    assert match.records == []
    correlator.turned()
    assert not correlator.decides(after=0)
    loaded.set()
    assert correlator.decides(after=60)


async def test_a_silent_server_is_not_waited_for_for_ever() -> None:
    """Only the server's first reply tells of the meantime; where it does not come, the relay decides without it."""
    correlator = Unconnected(loaded=True).correlator
    assert not correlator.decides(after=0)
    correlator.start()
    assert not correlator.decides(after=60)
    assert correlator.decides(after=0)
    correlator.stop()
    assert not correlator.decides(after=0)


async def test_early_acknowledgements_are_bounded() -> None:
    """Acknowledgements of other systems' operations take a bounded room, and the newest stay."""
    one = Unconnected(loaded=False)
    for start in range(0, 10_000, 500):
        await one.acknowledge(*range(start, start + 500))
    oldest = 10_000 - EARLY_ROOM
    assert [one.ends(number) for number in (oldest - 1, oldest, 9999)] == [False, True, True]


async def test_the_needed_messages_are_enough() -> None:
    """While no operation waits, the correlator keeps the same of the newest messages that it needs as of all."""
    some, every = Unconnected(loaded=True), Unconnected(loaded=True)
    needed = some.correlator.needed
    assert needed is not None
    await some.acknowledge(*range(5000 - needed, 5000))
    await every.acknowledge(*range(5000))
    for one in (some, every):
        assert [number for number in range(4000, 5000) if one.ends(number)] == [*range(5000 - needed, 5000)]


async def test_every_message_is_needed_before_the_ledger_is_read() -> None:
    """Until the ledger is read, each message of a transaction may acknowledge an operation that is still to be read."""
    assert Unconnected(loaded=False).correlator.needed is None


async def test_a_waiting_operation_needs_every_message() -> None:
    """While an operation waits, every message of a transaction may acknowledge it."""
    async with running(ScriptedUpstream(), MemoryKafka()) as service:
        assert service.correlator(ACCOUNT).needed is not None
        await service.submit(submission())
        assert service.correlator(ACCOUNT).needed is None


# -- an acknowledgement that Kafka refuses ----------------------------------------------------------------------------


async def test_refused_acknowledgement_is_told_where_its_dead_letter_lies() -> None:
    """REST and the operation's event of the same transaction name the dead letter that stands for it."""
    kafka = MemoryKafka()
    async with running(ScriptedUpstream(), kafka) as service:
        await service.submit(submission())
        [told_] = await turn(service, acknowledgement(), kafka=kafka, refused=True)
        evidence = service.get("1").acknowledgement
    assert (told_.acknowledgement_topic, told_.acknowledgement_id) == ("dead-letters.v1", "s-0-dead-letter")
    assert evidence is not None
    assert (evidence.topic, evidence.id, evidence.key) == ("dead-letters.v1", "s-0-dead-letter", "134/Campaign1/13")
    async with running(ScriptedUpstream(), kafka) as service:
        again = service.get("1").acknowledgement
    assert again == evidence


async def test_refused_acknowledgement_that_came_early_is_told_where_its_dead_letter_lies() -> None:
    """What came before its operation was known is found as its dead letter, too."""
    kafka = MemoryKafka()
    async with running(ScriptedUpstream(), kafka) as service:
        await turn(service, acknowledgement(), refused=True)
        now = rfc3339(time.time())
        kafka.records.append(signed(operation_record(event("requested", at=now, received_at=now))))
        await service.read_to_end()
        evidence = service.get("1").acknowledgement
    assert evidence is not None
    assert (evidence.topic, evidence.id) == ("dead-letters.v1", "s-0-dead-letter")


def test_a_dead_lettered_record_revises_the_record_that_names_it() -> None:
    """Every attempt publishes the revised record in the place of the one that named the dead-lettered record."""
    ack, op = Record("acknowledgements.v1", b"k", b"x", [("ce_id", b"a")]), Record("operations.v1", b"1", b"old", [])
    new = Record("operations.v1", b"1", b"new", [])
    for over in (False, True):
        first = msgspec.structs.replace(ack, value=b"x" * (9 << 20)) if over else ack
        one = PublishAttempt("alice", [first, op], StoredPosition(owner="o", turn=1), 0, revise=lambda _, __: (op, new))
        counts = dict.fromkeys(("acknowledgements.v1", "operations.v1", "dead-letters.v1"), 1)
        if not over:
            [acks] = [batch for batch in one.batches(counts, {}) if batch.topic == "acknowledgements.v1"]
            one.refused({acks: "refused"})
        for _ in range(2):
            sent = [record for batch in one.batches(counts, {}) for record in batch.records]
            assert [record.value for record in sent if record.topic == "operations.v1"] == [b"new"]
            assert sum(record.topic == "dead-letters.v1" for record in sent) == 1
            one.failed()
