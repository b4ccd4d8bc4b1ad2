"""What becomes of phone numbers: no record of any kind holds one, and the bridge works on all the same."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bridge.cometd import Event
from bridge.delivery import AccountKeys
from bridge.errors import Conflict, UpstreamRejected
from bridge.events import dead_letter, operation_record
from bridge.operations import OperationRecords, Submission
from bridge.privacy import OMITTED, Concealment
from bridge.privacy.concealment import PREFIX
from bridge.relay.translation import Translator
from bridge.webservices import DoNotCallByNumber
from tests.memory_kafka import MemoryKafka
from tests.unit import upstream_samples as samples
from tests.unit.operation_parts import (
    ACCOUNT,
    SAMPLE,
    ScriptedUpstream,
    acknowledgement,
    event,
    running,
    told,
    turn,
)
from tests.waiting import eventually

if TYPE_CHECKING:
    from bridge.events import Record

NUMBER = "+15550100123"
SECRET = b"a secret of some length"
MODES = {"hmac": Concealment(SECRET), "omit": Concealment(None)}
HMAC = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


@pytest.fixture(params=MODES)
def privacy(request: pytest.FixtureRequest) -> Concealment:
    return MODES[request.param]


def published(privacy: Concealment | None, *bodies: Any) -> list[Record]:
    """What the relay makes of these messages, and the dead letters of all that."""
    raw = [body if isinstance(body, bytes) else msgspec.json.encode(body) for body in bodies]
    events = [Event("/v2/me/outbound", msgspec.Raw(one)) for one in raw]
    translator = Translator(ACCOUNT, privacy=privacy)
    records = translator.translate(events, session="s", first_sequence=0, received_at=0).records
    return [*records, *(dead_letter(record, "too-large", at=0) for record in records)]


def whole(record: Record) -> bytes:
    """Everything that a consumer of the record gets to see."""
    return b"\n".join([record.key, record.value, *(value for _, value in record.headers)])


def value_of(record: Record) -> Any:
    return msgspec.json.decode(record.value)


# A number, and messages with it in every place where one is told by name, and in others beside it.

NUMBERS = st.from_regex(r"\+?[1-9][0-9]{7,14}", fullmatch=True)
NAMES = st.sampled_from(
    ["phoneNumber", "phone", "GSW_PHONE", "gsw_phone2", "e164Number", "dynamicPhoneNumber", "ANI", "dnis", "HomePhone"]
)
PLACES = st.sampled_from(["from", "to", "destination", "participants"])


def other_places(number: str) -> st.SearchStrategy[Any]:
    """Values that hold the number without a name that says so."""
    return st.recursive(
        st.sampled_from([number, f"call {number} now", f"tel:{number}", f"sip:{number}@site", "nothing", 7, None]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "note", number]), inner),
        max_leaves=6,
    )


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A message of any kind, and the number in it."""
    number = draw(NUMBERS)
    told_as = st.sampled_from([number, *([int(number)] if number.isdecimal() else []), f"{number[:4]} {number[4:]}"])
    fields = draw(st.dictionaries(NAMES, told_as, min_size=1))
    others = draw(st.dictionaries(st.sampled_from(["GSW_NOTE", "uri", "list"]), other_places(number)))
    perhaps = draw(st.dictionaries(PLACES, st.just(number) | st.lists(st.just(number), max_size=2)))
    ids = {"applicationId": 134, "campaignName": "Campaign1"} | draw(
        st.sampled_from([{}, {"recordHandle": 13}, {"GSW_RECORD_HANDLE": 13}])
    )
    record = ids | others | perhaps | fields
    return number, draw(
        st.sampled_from(
            [
                {"messageType": "OutboundRecordMessage", "referenceId": "1", "record": record},
                {"messageType": "OutboundRecordMessage", "record": {"userData": record}, "more": others},
                {"messageType": "DeviceUserEventMessage", "deviceId": "d", "userData": record, "call": perhaps},
                {"messageType": "DeviceUserEventMessage", "deviceId": number, "userData": record},
                {"messageType": "CallStateChangeMessage", "call": {"participants": [record]}, "phoneNumber": number},
                {"messageType": number, "devices": [record]},
            ]
        )
    )


@pytest.mark.parametrize("mode", MODES)
def test_no_relayed_record_holds_the_number(mode: str) -> None:
    """Wherever a message of whatever kind holds a number, no key, header or value of what is published does."""

    @given(messages())
    def check(message: tuple[str, dict[str, Any]]) -> None:
        number, body = message
        for record in published(MODES[mode], body):
            seen = whole(record).decode()
            assert number.lstrip("+") not in seen
            assert f"{number[:4]} {number[4:]}" not in seen

    check()


@pytest.mark.parametrize("sample", [one for one in vars(samples).values() if isinstance(one, samples.Sample)])
def test_all_else_stays(sample: samples.Sample) -> None:
    """In the documented messages nothing but the numbers changes."""
    [plain, *_], [private, *_] = published(None, sample.data), published(MODES["hmac"], sample.data)
    found = HMAC.sub("NUMBER", whole(private).decode())
    expected = re.sub(r'"3001"|"5001"', '"NUMBER"', whole(plain).decode())
    assert found == expected.replace("Campaign1/3001", "Campaign1/NUMBER")


def test_equal_numbers_stay_equal_over_kinds() -> None:
    """One number has one hash in acknowledgements, user events, keys and originals, however it is spelt."""
    record = {"applicationId": 134, "campaignName": "Campaign1", "phoneNumber": "+1 (555) 010-0123"}
    user_data = {"GSW_APPLICATION_ID": 134, "GSW_CAMPAIGN_NAME": "Campaign1", "GSW_PHONE": NUMBER}
    bodies = [
        {"messageType": "OutboundRecordMessage", "record": record},
        {"messageType": "DeviceUserEventMessage", "userData": user_data},
    ]
    first, second, *_ = published(MODES["hmac"], *bodies)
    hashes = {one for record in (first, second) for one in HMAC.findall(whole(record).decode())}
    assert len(hashes) == 1
    assert first.key == second.key == f"134/Campaign1/{hashes.pop()}".encode()
    other, *_ = published(Concealment(SECRET + b"!"), *bodies)
    assert other.key != first.key


def test_records_without_a_handle_share_a_key_when_numbers_are_omitted() -> None:
    """The key then tells the campaign alone, the same for both kinds, so that what belongs together keeps its order."""
    record = {"applicationId": 134, "campaignName": "Campaign1", "phoneNumber": NUMBER}
    user_data = {"GSW_APPLICATION_ID": 134, "GSW_CAMPAIGN_NAME": "Campaign1", "GSW_PHONE": "5550100124"}
    first, second, *_ = published(
        MODES["omit"],
        {"messageType": "OutboundRecordMessage", "record": record},
        {"messageType": "DeviceUserEventMessage", "deviceId": "d", "userData": user_data},
    )
    assert first.key == second.key == f"134/Campaign1/{OMITTED}".encode()
    assert value_of(first)["phoneNumber"] is None
    assert value_of(first)["original"]["record"] == {"applicationId": 134, "campaignName": "Campaign1"}


@pytest.mark.parametrize("body", [b'{"phone": "+15550100123"', b"\xff+15550100123", b"[" * 100_000 + b"15550100123"])
def test_what_can_not_be_looked_through_is_left_out(privacy: Concealment, body: bytes) -> None:
    """A message that is no JSON may hold a number anywhere: it is told of, but not shown."""
    record, letter = published(privacy, body)
    assert value_of(record)["original"] is None
    for one in (record, letter):
        assert b"15550100123" not in whole(one)


# Operations.


def records(privacy: Concealment | None, password: str = "secret") -> OperationRecords:
    return OperationRecords(privacy=privacy, keys={ACCOUNT: AccountKeys(ACCOUNT, SecretStr(password))})


def by_number(reference: str = "1") -> Submission:
    """A request that names its record by the number alone."""
    body = SAMPLE | {"phoneNumber": NUMBER, "referenceId": reference, "remark": f"of {NUMBER}"}
    return Submission(None, None, DoNotCallByNumber.model_validate(body))


def said(number: str = NUMBER) -> dict[str, Any]:
    """The acknowledgement of that request, without its reference."""
    record = {"applicationId": 134, "campaignName": "Campaign1", "phoneNumber": number}
    return acknowledgement(None) | {"record": record}


async def test_no_operation_record_holds_the_number(privacy: Concealment) -> None:
    """None of an operation's events holds the number: not in request, verdict, nor the acknowledgement's key."""
    refusal = UpstreamRejected("no", http_status=500, status_code=4, status_message=f"{NUMBER} is not registered")
    kafka, upstream = MemoryKafka(), ScriptedUpstream(refusal)
    async with running(upstream, kafka, records=records(privacy)) as service:
        with pytest.raises(UpstreamRejected, match="no") as refused:
            await service.submit(by_number("1"))
        await service.submit(by_number("2"))
        await turn(service, said(), kafka=kafka, privacy=privacy)
        await eventually(lambda: [one.status for one in told(kafka, "2")][-1:] == ["acknowledged"])
        await eventually(lambda: [one.status for one in told(kafka, "1")][-1:] == ["rejected"])
    assert refused.value.status_message == f"{NUMBER} is not registered"  # the caller's own answer
    assert [body["phoneNumber"] for _, body in upstream.requests] == [NUMBER, NUMBER]
    assert {record.topic for record in kafka.records} == {"operations.v1", "acknowledgements.v1"}
    for record in [*kafka.records, *(dead_letter(one, "refused", at=0) for one in kafka.records)]:
        assert NUMBER.encode() not in whole(record)
        assert b"5550100123" not in whole(record)


async def test_a_crash_loses_no_operation(privacy: Concealment) -> None:
    """What was promised is forwarded by the next process with its number, and acknowledged by that number alone."""
    kafka, never = MemoryKafka(), asyncio.Event()
    async with running(ScriptedUpstream(never), kafka, records=records(privacy)) as service:
        await service.submit_async(by_number())
    upstream = ScriptedUpstream()
    async with running(upstream, kafka, records=records(privacy)) as service:
        await turn(service, privacy=privacy)
        await eventually(lambda: upstream.requests)
        assert upstream.requests[0][1]["phoneNumber"] == NUMBER
        await eventually(lambda: service.get("1").status == "accepted")
        assert [event.status for event in await turn(service, said(), privacy=privacy)] == ["acknowledged"]


async def test_the_same_request_is_known_again(privacy: Concealment) -> None:
    """After a restart the same referenceId with the same number forwards nothing, and with another one is refused."""
    kafka, upstream = MemoryKafka(), ScriptedUpstream()
    async with running(upstream, kafka, records=records(privacy)) as service:
        await service.submit(by_number())
        await eventually(lambda: [one.status for one in told(kafka)][-1:] == ["accepted"])
    async with running(upstream, kafka, records=records(privacy)) as service:
        assert (await service.submit(by_number())).status == "accepted"
        other = by_number().request.model_copy(update={"phone_number": "+15550100124"})
        with pytest.raises(Conflict):
            await service.submit(replace(by_number(), request=other))
    assert len(upstream.requests) == 1


async def test_what_can_not_be_opened_is_not_forwarded(privacy: Concealment) -> None:
    """After a change of the account's password the number is gone: the operation ends, and no stand-in is forwarded."""
    kafka, never = MemoryKafka(), asyncio.Event()
    async with running(ScriptedUpstream(never), kafka, records=records(privacy)) as service:
        await service.submit_async(by_number())
    upstream = ScriptedUpstream()
    async with running(upstream, kafka, records=records(privacy, "another"), acknowledgement_timeout=0.2) as service:
        await turn(service, privacy=privacy)
        await eventually(lambda: service.get("1").status == "timed-out")
    assert upstream.requests == []


async def test_another_process_operation_is_ended_without_the_number(privacy: Concealment) -> None:
    """An operation of an account that this process has no key for, told when numbers were plain, ends without them."""
    kafka = MemoryKafka()
    request = msgspec.Raw(msgspec.json.encode(SAMPLE | {"phoneNumber": NUMBER}))
    kafka.records.append(operation_record(event("accepted", account="gone", request=request)))
    async with running(ScriptedUpstream(), kafka, records=records(privacy)):
        await eventually(lambda: [one.status for one in told(kafka)][-1:] == ["timed-out"])
    assert told(kafka)[-1].sealed_request is None
    assert NUMBER.encode() not in whole(kafka.records[-1])


async def test_nothing_is_sealed_where_numbers_are_plain() -> None:
    """With plain numbers the request is told as it is, once."""
    kafka = MemoryKafka()
    async with running(ScriptedUpstream(), kafka, records=records(None)) as service:
        await service.submit(by_number())
        await eventually(lambda: told(kafka))
    assert told(kafka)[0].sealed_request is None
    assert msgspec.json.decode(told(kafka)[0].request)["phoneNumber"] == NUMBER
