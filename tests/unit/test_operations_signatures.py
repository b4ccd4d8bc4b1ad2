"""What a foreign writer to the ledger can do: nothing but show something."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from bridge.delivery import AccountKeys, ConsumedRecord, UnsignedEvents
from bridge.errors import UnknownOperation
from bridge.events import Operation, operation, operation_record, rfc3339
from bridge.operations import LEDGER_TOPIC, OperationRecords
from bridge.operations.ledger.signatures import Origin
from bridge.privacy import concealment_of
from bridge.settings import Privacy
from tests.memory_kafka import MemoryKafka
from tests.unit.operation_parts import (
    ACCOUNT,
    KEYS,
    SAMPLE,
    ScriptedUpstream,
    acknowledgement,
    event,
    listed,
    running,
    signed,
    submission,
    told,
    turn,
)
from tests.waiting import eventually

if TYPE_CHECKING:
    from bridge.events import Record

RELEASED = Path(__file__).parents[1] / "released"
FOREVER = 1e12


def now(**changes: Any) -> dict[str, Any]:
    at = rfc3339(time.time())
    return {"at": at, "received_at": at} | changes


def promise(reference: str = "1", **changes: Any) -> Record:
    """A request that was to be forwarded without any caller, as a foreign hand writes it."""
    return operation_record(event("requested", reference=reference, asynchronous=True, **(now() | changes)))


async def test_a_promise_of_the_own_bridge_is_forwarded() -> None:
    """The signature that a process writes is what the next one takes."""
    await KEYS.start("ledger")
    kafka, upstream = MemoryKafka(records=[signed(promise())]), ScriptedUpstream()
    async with running(upstream, kafka) as service:
        await turn(service)
        await eventually(lambda: upstream.requests)


def moved(record: Record) -> Record:
    """A genuine record under another key."""
    return msgspec.structs.replace(record, key=b"2")


def changed(record: Record) -> Record:
    """A genuine record with another number."""
    return msgspec.structs.replace(record, value=record.value.replace(b'"3001"', b'"3002"'))


def of_another_topic(record: Record) -> Record:
    """What is signed as a record of another topic."""
    signature = KEYS.sign("ledger", b"requests.v1", record.key, record.value).hex().encode()
    return msgspec.structs.replace(record, headers=[*record.headers[:-1], (operation.SIGNATURE, signature)])


def of_another_purpose(record: Record) -> Record:
    """What is signed for another purpose."""
    signature = KEYS.sign("request", LEDGER_TOPIC.encode(), record.key, record.value).hex().encode()
    return msgspec.structs.replace(record, headers=[*record.headers[:-1], (operation.SIGNATURE, signature)])


def damaged(record: Record) -> Record:
    """A header that is no signature."""
    return msgspec.structs.replace(record, headers=[*record.headers[:-1], (operation.SIGNATURE, b"\xff\xfe")])


def unsigned(record: Record) -> Record:
    """No signature."""
    return msgspec.structs.replace(record, headers=record.headers[:-1])


@pytest.mark.parametrize("forge", [moved, changed, of_another_topic, of_another_purpose, damaged, unsigned])
async def test_a_forged_promise_is_not_forwarded(forge: Any) -> None:
    """What the account's bridge has not signed is forwarded at no start; it ends by its time-out, still unsigned."""
    await KEYS.start("ledger")
    kafka, upstream = MemoryKafka(records=[forge(signed(promise()))]), ScriptedUpstream()
    for _ in range(2):
        async with running(upstream, kafka, acknowledgement_timeout=0.1) as service:
            await turn(service)
            await eventually(lambda: service.get("1").status == "timed-out")
            await eventually(lambda: len(kafka.records) == 2)
    assert upstream.requests == []
    assert operation.SIGNATURE not in dict(kafka.records[-1].headers)


@pytest.mark.parametrize("account", [ACCOUNT, "another"])
@pytest.mark.parametrize("status", ["acknowledged", "rejected", "timed-out", "accepted"])
async def test_a_forged_end_ends_nothing(status: str, account: str) -> None:
    """A caller that waits hears nothing of a forged end, neither of its own account nor of another one."""
    kafka = MemoryKafka()
    async with running(ScriptedUpstream(), kafka) as service:
        await service.submit(submission())
        before = service.get("1")
        waiting = asyncio.create_task(service.wait("1", 0.2))
        kafka.records.append(operation_record(event(status, account=account, attempt=9, **now())))
        await service.read_to_end()
        assert (await waiting).status == "accepted"
        assert service.get("1") == before
        assert [one.status for one in await turn(service, acknowledgement())] == ["acknowledged"]


@pytest.mark.parametrize("account", [ACCOUNT, "another"])
@pytest.mark.parametrize("status", ["requested", "acknowledged", "timed-out"])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_forged_event_takes_no_reference(status: str, account: str, *, asynchronous: bool) -> None:
    """A referenceId that a forged event has used before the caller belongs to the caller all the same."""
    other = msgspec.Raw(msgspec.json.encode(SAMPLE | {"phoneNumber": "666"}))
    forged = operation_record(event(status, account=account, attempt=9, request=other, **now()))
    kafka, upstream = MemoryKafka(records=[forged]), ScriptedUpstream()
    async with running(upstream, kafka) as service:
        await (service.submit_async if asynchronous else service.submit)(submission())
        await eventually(lambda: service.get("1").status == "accepted")
        assert [one.status for one in await turn(service, acknowledgement())] == ["acknowledged"]
    assert len(upstream.requests) == 1
    async with running(upstream, kafka) as service:
        assert service.get("1").status == "accepted"
        assert service.get("1").account == ACCOUNT


async def test_forged_events_are_counted() -> None:
    """Events of this process's account without a valid signature are counted; those of other accounts are not."""
    kafka = MemoryKafka(records=[promise("1"), promise("2"), promise("3", account="another")])
    before = counted()
    async with running(ScriptedUpstream(), kafka) as service:
        assert service.get("3").account == "another"
    assert counted() - before == 2


def counted() -> float:
    return REGISTRY.get_sample_value("bridge_records_untrusted_total", {"topic": LEDGER_TOPIC}) or 0.0


@pytest.mark.parametrize("status", ["acknowledged", "rejected"])
async def test_a_forged_end_is_shown_to_no_caller(status: str) -> None:
    """That an operation was done or refused is shown only where the account's bridge has signed it."""
    kafka = MemoryKafka(records=[operation_record(event(status, **now())), promise()])
    async with running(ScriptedUpstream(), kafka) as service:
        with pytest.raises(UnknownOperation):
            service.get("1")
        assert await listed(service) == []


async def test_nothing_ends_twice_after_a_change_of_the_password() -> None:
    """What has ended before, under a signature that counts no more, gets no second end; what has not times out."""
    kafka = MemoryKafka()
    before = OperationRecords(keys={ACCOUNT: AccountKeys(ACCOUNT, SecretStr("before"))})
    async with running(ScriptedUpstream(), kafka, records=before) as service:
        await service.submit(submission("1"))
        await service.submit(submission("2"))
        await turn(service, acknowledgement("1"), kafka=kafka)
        await eventually(lambda: len(told(kafka, "1")) == 3 and len(told(kafka, "2")) == 2)
    async with running(ScriptedUpstream(), kafka, acknowledgement_timeout=0.1) as service:
        await turn(service)
        await eventually(lambda: service.get("2").status == "timed-out")
        await eventually(lambda: [one.status for one in told(kafka, "2")][-1] == "timed-out")
    assert [one.status for one in told(kafka, "1")] == ["requested", "accepted", "acknowledged"]


async def test_a_forged_request_hides_no_acknowledgement() -> None:
    """An acknowledgement without a reference finds the genuine operation beside forged ones about the same record."""
    kafka = MemoryKafka(records=[promise("forged"), promise("foreign", account="another")])
    async with running(ScriptedUpstream(), kafka) as service:
        await service.submit(submission())
        assert [one.reference_id for one in await turn(service, acknowledgement(None))] == ["1"]
        assert await turn(service, acknowledgement("forged")) == []


async def test_events_from_before_the_update_count() -> None:
    """A promise that version 0.1.0 gave is forwarded, and what came unsigned after the update is not."""
    kafka, upstream = MemoryKafka(records=[promise("before"), promise("after")]), ScriptedUpstream()
    before = UnsignedEvents(age=60)
    before.end({0: 1}, FOREVER)
    records = OperationRecords(keys={ACCOUNT: KEYS}, unsigned={ACCOUNT: before})
    async with running(upstream, kafka, records=records, acknowledgement_timeout=0.1) as service:
        await turn(service)
        await eventually(lambda: service.get("after").status == "timed-out")
        await eventually(lambda: upstream.requests)
    assert [body["referenceId"] for _, body in upstream.requests] == ["before"]


async def test_events_from_before_the_update_count_for_a_time() -> None:
    """Unsigned events count until the time that the position names, only before its offset, and not after."""
    clock = [99.0]
    before = UnsignedEvents(age=60, clock=lambda: clock[0])
    before.end({0: 1}, until=100.0)
    assert await before.cover(0, 0)
    assert not await before.cover(0, 1)
    assert not await before.cover(1, 0)
    clock[0] = 100.0
    assert not await before.cover(0, 0)


async def test_events_from_before_the_update_wait_for_the_position() -> None:
    """The position tells where unsigned events end; until it is read none of them is taken."""
    await KEYS.start("ledger")
    kafka, upstream, before = MemoryKafka(records=[promise()]), ScriptedUpstream(), UnsignedEvents(age=60)
    records = OperationRecords(keys={ACCOUNT: KEYS}, unsigned={ACCOUNT: before})
    async with running(upstream, MemoryKafka()):
        read = asyncio.create_task(records.read(consumed(kafka.records[0])))
        done, _ = await asyncio.wait([read], timeout=0.05)
        assert not done
        before.end({0: 1}, FOREVER)
        assert (await read).origin is Origin.EARLIER


@pytest.mark.parametrize(
    ("changes", "enabled"),
    [
        ({}, ("UpdateRecord",)),
        ({"operation": "UpdateRecord"}, ("DoNotCallRecord",)),
        ({"operation": "Nonsense"}, ("DoNotCallRecord",)),
        ({"record_handle": -1}, ("DoNotCallRecord",)),
        ({"record_handle": None, "request": msgspec.Raw(b'{"operationName":"DoNotCallRecord"}')}, ("DoNotCallRecord",)),
        ({"request": msgspec.Raw(msgspec.json.encode(SAMPLE | {"referenceId": "2"}))}, ("DoNotCallRecord",)),
        ({"request": msgspec.Raw(msgspec.json.encode(SAMPLE | {"devicePath": "/x"}))}, ("DoNotCallRecord",)),
    ],
)
async def test_only_what_a_caller_may_send_is_forwarded(changes: dict[str, Any], enabled: tuple[str, ...]) -> None:
    """A promise passes the rules for REST calls again, those of this process: enabled operations, valid requests."""
    await KEYS.start("ledger")
    kafka, upstream = MemoryKafka(records=[signed(promise(**changes))]), ScriptedUpstream()
    async with running(upstream, kafka, enabled=enabled) as service:
        await turn(service)
        await eventually(lambda: service.get("1").status == "timed-out")
    assert upstream.requests == []


# What was sealed.


def consumed(record: Record, offset: int = 0) -> ConsumedRecord:
    return ConsumedRecord(LEDGER_TOPIC, 0, offset, 0, record.key, dict(record.headers), record.value)


def sealed_event(sealed: str) -> ConsumedRecord:
    return consumed(operation_record(event("requested", account="alice", sealed_request=sealed, record_handle=None)))


async def alice(*, covered: int = 1) -> OperationRecords:
    """The records of a bridge of `alice` that was updated from version 0.1.0."""
    keys, before = AccountKeys("alice", SecretStr("secret")), UnsignedEvents(age=60)
    await keys.start("ledger")
    before.end({0: covered}, FOREVER)
    return OperationRecords(keys={"alice": keys}, unsigned={"alice": before})


async def test_a_request_that_the_released_version_sealed_is_opened() -> None:
    """In an event from before the update the sealed request of version 0.1.0 is opened, as it proves to be one."""
    event, origin = await (await alice()).read(sealed_event((RELEASED / "sealed-request-0.1.0.txt").read_text()))
    assert origin is Origin.EARLIER
    assert event.sealed_request is None
    assert msgspec.json.decode(event.request)["phoneNumber"] == "3001"


@pytest.mark.parametrize("covered", [0, 1])
@pytest.mark.parametrize("prefix", ["", "2:"])
async def test_a_position_is_never_opened_as_a_request(prefix: str, covered: int) -> None:
    """A position's secret that is handed over as a sealed request stays sealed, so nothing publishes it."""
    sealed = (RELEASED / "sealed-request-from-position-0.1.0.txt").read_text()
    event, _ = await (await alice(covered=covered)).read(sealed_event(prefix + sealed))
    assert event.sealed_request == prefix + sealed
    assert b"the-client" not in bytes(event.request)


async def test_an_earlier_seal_does_not_count_after_the_update() -> None:
    """The sealed request of version 0.1.0 in an event that is not from before the update stays sealed."""
    sealed = (RELEASED / "sealed-request-0.1.0.txt").read_text()
    event, origin = await (await alice(covered=0)).read(sealed_event(sealed))
    assert origin is Origin.UNSIGNED
    assert event.sealed_request == sealed


@pytest.mark.parametrize("sealed", ["", "2:", "2:!", "é", "2:" + "A" * 100, "A" * 100, "2:\ud800"])
async def test_damaged_seals_stay_sealed(sealed: str) -> None:
    """Whatever stands in the place of a sealed request, the event is read and nothing else is raised."""
    keys = {ACCOUNT: KEYS}
    await KEYS.start("ledger")
    one = event("requested", sealed_request=sealed.encode(errors="replace").decode(), **now())
    read = await OperationRecords(keys=keys).read(consumed(signed(operation_record(one))))
    assert read.operation.sealed_request is not None


async def test_a_sealed_request_can_not_be_moved() -> None:
    """A sealed request in an event of another referenceId stays sealed, even in one that is signed."""
    await KEYS.start("ledger")
    records = OperationRecords(privacy=concealment_of(Privacy(phone_numbers="omit")), keys={ACCOUNT: KEYS})
    whole = msgspec.json.decode(records.record(event("requested", **now())).value, type=Operation)
    assert whole.sealed_request is not None
    opened = await records.read(consumed(records.record(whole)))
    assert opened.operation.sealed_request is None
    moved = await records.read(consumed(records.record(msgspec.structs.replace(whole, reference_id="2"))))
    assert moved.operation.sealed_request == whole.sealed_request


async def test_each_event_is_signed() -> None:
    """Every event that a process writes carries the signature: from the request to the acknowledgement."""
    kafka = MemoryKafka()
    async with running(ScriptedUpstream(), kafka) as service:
        await service.submit(submission())
        await turn(service, acknowledgement(), kafka=kafka)
        await eventually(lambda: len(told(kafka)) == 3)
    records = [one for one in kafka.records if one.topic == LEDGER_TOPIC]
    for record in records:
        assert (await OperationRecords(keys={ACCOUNT: KEYS}).read(consumed(record))).origin is Origin.SIGNED
