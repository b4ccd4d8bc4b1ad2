"""Following the ledger: whatever lies there, the bridge goes on and starts again."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from bridge.errors import Busy
from bridge.events import Operation, Record, rfc3339
from bridge.http.routes.replies import json_response, report
from bridge.operations import LEDGER_TOPIC, OperationRecords
from bridge.operations.ledger import reading
from bridge.operations.ledger.records import UnreadableEvent
from bridge.operations.recorded_request import LARGEST_KEPT, digest, record_name, shortened
from bridge.operations.view.state import event_of, merge
from tests.memory_kafka import MemoryKafka
from tests.unit.operation_parts import (
    AT,
    KEYS,
    ScriptedUpstream,
    consumed,
    event,
    listed,
    lists,
    running,
    signed,
    submission,
    told,
    turn,
)
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping


def written(**changes: Any) -> dict[str, Any]:
    """An event as JSON has it."""
    fields: dict[str, Any] = json.loads(msgspec.json.encode(event("requested")))
    return fields | changes


def with_request(request: bytes) -> bytes:
    return msgspec.json.encode(written() | {"request": msgspec.Raw(request)})


def with_member(member: bytes) -> bytes:
    """An event with a member that the bridge does not know."""
    return msgspec.json.encode(written())[:-1] + b',"x":' + member + b"}"


NESTED = b'{"x":' * 100_000 + b"1" + b"}" * 100_000
UNREADABLE: Mapping[str, bytes] = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe",
    "half": msgspec.json.encode(written())[:-9],
    "an array": b"[]",
    "a number": b"1",
    "nested too deep to be read": NESTED,
    "a member nested too deep to be read": with_member(NESTED),
    "a request nested too deep to be read": with_request(NESTED),
    "a request nested too deep to be safe": with_request(b'{"x":' * 101 + b"1" + b"}" * 101),
    "infinity": with_request(b'{"x":1e999}'),
    "a request that is not UTF-8": with_request(b'{"x":"\xff"}'),
    "a name that is not UTF-8": with_request(b'{"\xff":1}'),
    "half a surrogate pair": with_request(b'{"x":"\\ud800"}'),
    "a number of 5,000 digits": with_request(b'{"x":' + b"9" * 5000 + b"}"),
    "a request that is an array": with_request(b"[1]"),
    "a request that is null": with_request(b"null"),
    "an application that is an array": with_request(b'{"applicationId":[1]}'),
    "a phone number that is an object": with_request(b'{"phoneNumber":{}}'),
    "before 1970": msgspec.json.encode(written(at="1960-01-01T00:00:00.000Z")),
    "received before 1970": msgspec.json.encode(written(receivedAt="1960-01-01T00:00:00.000Z")),
    "in the far future": msgspec.json.encode(written(at="9999-12-31T23:59:59.999Z")),
    "beyond datetime": msgspec.json.encode(written(at="0000-00-00T00:00:00.000Z")),
    "a day that is none": msgspec.json.encode(written(at="2026-02-30T00:00:00.000Z")),
    "another form of time": msgspec.json.encode(written(at="2026-01-01")),
    "a time with an offset": msgspec.json.encode(written(at="2026-01-01T00:00:00.000+23:59")),
    "a status that is none": msgspec.json.encode(written(status="done")),
    "an attempt of 30 digits": msgspec.json.encode(written()).replace(b'"attempt":1', b'"attempt":' + b"9" * 30),
    "a handle of 300 digits": msgspec.json.encode(written()).replace(
        b'"recordHandle":13', b'"recordHandle":' + b"9" * 300
    ),
    "an HTTP status of 30 digits": with_member(b"1")[:-1].replace(
        b'"upstream":null', b'"upstream":{"httpStatus":' + b"9" * 30 + b',"statusCode":0,"statusMessage":null}'
    )
    + b"}",
    "half a surrogate pair in the account": msgspec.json.encode(written()).replace(b'"agent"', b'"\\ud800"'),
    "an acknowledgement on another topic": msgspec.json.encode(written(acknowledgementTopic="bridge-state")),
}


def counted() -> float:
    return REGISTRY.get_sample_value("bridge_records_unreadable_total", {"topic": LEDGER_TOPIC}) or 0.0


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
async def test_unreadable_event_is_refused_in_one_way(value: bytes) -> None:
    """Whatever makes a record no event of an operation, reading it raises one error."""
    with pytest.raises(UnreadableEvent):
        await OperationRecords().read(consumed(value))


async def test_unreadable_records_are_passed_over() -> None:
    """A running bridge, and one that starts, passes over what it can't read, counts it, and does not tell each one."""
    kafka = MemoryKafka()
    odd = [Record(LEDGER_TOPIC, b"1", value, []) for value in UNREADABLE.values()]
    good = Record(
        LEDGER_TOPIC, b"9", msgspec.json.encode(event("accepted", reference="9", received_at=rfc3339(time.time()))), []
    )
    with capture_logs() as logs:
        async with running(ScriptedUpstream(), kafka) as service:
            before = counted()
            kafka.records += [*odd, good]
            await eventually(lambda: lists(service, "9"))
            assert counted() == before + len(odd)
        async with running(ScriptedUpstream(), kafka) as service:
            assert await lists(service, "9")
            assert (await service.submit(submission("2"))).status == "accepted"
    assert sum(line["event"] == "records-unreadable" for line in logs) <= 1


async def test_old_event_of_an_unknown_account_is_ended() -> None:
    """An operation of 1970, of an account that no bridge has, is ended like any other that nobody decides on."""
    kafka = MemoryKafka()
    old = event("requested", at="1970-01-01T00:00:00.000Z", received_at="1970-01-01T00:00:00.000Z", account="x" * 9000)
    kafka.records.append(Record(LEDGER_TOPIC, b"1", msgspec.json.encode(old), []))
    async with running(ScriptedUpstream(), kafka):
        await eventually(lambda: [one.status for one in told(kafka)] == ["requested", "timed-out"])
    sample = REGISTRY.get_sample_value("bridge_operations_total", {"account": "x" * 9000, "outcome": "timed-out"})
    assert sample is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from([*written(), "upstream", "acknowledgementId", "acknowledgementKey", "late", "sealedRequest", "x"]),
    JSON
    | st.sampled_from(["requested", "acknowledged", AT, "2027-01-01T00:00:00.000Z", 2**63, -1, {"applicationId": 1}]),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(FIELDS, st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3)), max_size=3))
def test_what_is_read_can_be_used(fields: dict[str, Any], edits: list[tuple[int, bytes]]) -> None:
    """An event that was read can be merged, written, sorted and shown: no bytes make anything of that fail."""
    value = bytearray(json.dumps(written() | fields).encode())
    for at, changed in edits:
        value[at % len(value) : at % len(value) + len(changed)] = changed
    try:
        read = asyncio.run(OperationRecords().read(consumed(bytes(value)))).operation
    except UnreadableEvent:
        return
    view = merge(merge(merge(None, event("requested")), read), event("accepted", attempt=2))
    view = merge(merge(None, read), event("acknowledged", reference=read.reference_id))
    again = event_of(view, "timed-out", AT)
    record = OperationRecords().record(again)
    assert asyncio.run(OperationRecords().read(consumed(record.value))).operation.reference_id == read.reference_id
    assert view.began >= 0
    json.loads(bytes(json_response(report(view)).body))
    hash(record_name(view.request_json))


@given(st.dictionaries(st.text(max_size=20), JSON, max_size=20), st.integers(0, 5000), st.text(max_size=400))
def test_shortened_request_names_the_same_record(body: dict[str, Any], size: int, campaign: str) -> None:
    """A shortened request is small, the same when shortened again, and names the record as the whole one does."""
    body |= {"note": "x" * size, "campaignName": campaign, "applicationId": 134, "phoneNumber": "3001"}
    whole = msgspec.json.encode(json.loads(json.dumps(body, allow_nan=False))) if _plain(body) else b"{}"
    short = shortened(whole)
    assert len(short) <= LARGEST_KEPT
    assert shortened(short) == short
    assert record_name(short) == record_name(whole)
    assert (short == whole) == (digest(short) == digest(whole))


def _plain(body: object) -> bool:
    try:
        json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


async def test_other_tasks_run_while_a_long_ledger_is_read() -> None:
    """Reading a long ledger lets other tasks run after each slice, so that a start connects meanwhile."""
    await KEYS.start("ledger")  # otherwise other tasks run while a thread derives the keys
    slices = 50
    value = msgspec.json.encode(event("acknowledged", received_at=rfc3339(time.time())))
    kafka = MemoryKafka()
    kafka.records += [Record(LEDGER_TOPIC, b"1", value, [])] * (slices * reading.SLICE)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    async with running(ScriptedUpstream(), kafka):
        counting.cancel()
    assert turns > slices


# -- more pending operations than the view may hold -------------------------------------------------------------------


async def test_flood_of_pending_operations_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pending operations beyond the view's bound are left out, told, and read again when there is room: all end."""
    monkeypatch.setattr(reading, "ROOM_INTERVAL", 0.1)
    await KEYS.start("ledger")
    kafka = MemoryKafka()
    for number in range(50):
        flood = event("requested", reference=f"flood-{number}")
        kafka.records.append(signed(Record(LEDGER_TOPIC, b"k", msgspec.json.encode(flood), [])))
    with capture_logs() as logs:
        async with running(ScriptedUpstream(), kafka, view_limit=20, acknowledgement_timeout=0.2) as service:
            await turn(service)
            assert len(await listed(service)) <= 20
            await eventually(lambda: len(ended(kafka)) == 50, within=60)
    levels = [line["log_level"] for line in logs if line["event"] == "operations-left-out"]
    assert set(levels) == {"error"}
    assert len(levels) <= 5


async def test_forged_flood_takes_no_place() -> None:
    """Pending operations that only foreign hands tell of fill no view: a caller's operation finds room all the same."""
    kafka = MemoryKafka()
    for number in range(50):
        flood = event("requested", reference=f"flood-{number}", received_at=rfc3339(time.time()))
        kafka.records.append(Record(LEDGER_TOPIC, b"k", msgspec.json.encode(flood), []))
    async with running(ScriptedUpstream(), kafka, view_limit=20) as service:
        await turn(service)
        await eventually(lambda: lists(service, "flood-49"))
        assert (await service.submit(submission("1"))).status == "accepted"
        assert len(await listed(service)) <= 20
        assert service.get("1").status == "accepted"


def ended(kafka: MemoryKafka) -> set[str]:
    events: list[Operation] = [msgspec.json.decode(one.value, type=Operation) for one in kafka.records]
    return {one.reference_id for one in events if one.status == "timed-out"}


async def test_full_view_takes_no_new_operation() -> None:
    """While as many operations are pending as the view may hold callers hear Busy, and get in when some have ended."""
    kafka = MemoryKafka()
    async with running(ScriptedUpstream(), kafka, view_limit=2) as service:
        await service.submit(submission("1"))
        await service.submit(submission("2", handle=14))
        for submit in (service.submit, service.submit_async):
            with pytest.raises(Busy) as busy:
                await submit(submission("3", handle=15))
            assert busy.value.retry_after
        assert service.get("1").status == "accepted"
        assert (await service.submit(submission("1"))).status == "accepted"
        kafka.records.append(signed(Record(LEDGER_TOPIC, b"1", msgspec.json.encode(event("acknowledged")), [])))
        await eventually(lambda: service.get("1").status == "acknowledged")
        assert (await service.submit(submission("3", handle=15))).status == "accepted"
