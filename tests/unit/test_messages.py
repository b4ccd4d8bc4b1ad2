from __future__ import annotations

import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from bridge.errors import UNDECODABLE
from bridge.webservices.messages.messages import DeviceUserEvent, OutboundRecord, Unknown, parse, parse_tolerantly
from bridge.webservices.messages.wire import decode_body
from tests.page import DEVICE, DEVICE_PATH
from tests.unit import upstream_samples as samples

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
VALUE = st.sampled_from([134, "134", "Campaign1", None]) | JSON


Values = st.SearchStrategy[Any]


def some_of(names: list[str], values: Values) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, values))


def both(one: st.SearchStrategy[dict[str, Any]], other: st.SearchStrategy[dict[str, Any]]) -> Values:
    return st.builds(lambda first, second: first | second, one, other)


def messages(number: Values, text: Values, odd: Values) -> st.SearchStrategy[dict[str, Any]]:
    """Messages whose numbers, texts and objects are drawn from the given values; `odd` stands in for an object."""
    user_data = both(
        some_of(["GSW_APPLICATION_ID", "GSW_RECORD_HANDLE", "GSW_CHAIN_ID"], number),
        some_of(
            ["GSW_CAMPAIGN_NAME", "GSW_PHONE", "GSW_CALLING_LIST", "GSW_USER_EVENT", "GSW_CHAIN_ATTR", "customer_tier"],
            text,
        ),
    )
    ids = both(
        some_of(["recordHandle", "applicationId"], number),
        some_of(["campaignName", "callingList", "devicePath", "phoneNumber", "phone", "uri"], text),
    )
    record = both(ids, some_of(["userData", "customFields"], user_data | odd))
    times = some_of(["serverGenerationTimestamp", "nodeProcessingTimeNanos", "serverProcessingTimeTotalMs"], number)
    return st.fixed_dictionaries(
        {"messageType": st.sampled_from(["OutboundRecordMessage", "DeviceUserEventMessage", "ErrorMessage"])},
        optional={
            "notificationType": st.just("DoNotCallAcknowledge") | text,
            "referenceId": number | text,
            "record": record | odd,
            "deviceId": text,
            "metrics": some_of(["eventProcessing"], times | odd) | odd,
            "userData": user_data | odd,
        },
    )


MESSAGE = messages(VALUE, VALUE, VALUE)
DOCUMENTED_TYPES = messages(st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.text(), st.none())


def raw(text: str | bytes) -> msgspec.Raw:
    return msgspec.Raw(text.encode() if isinstance(text, str) else text)


def encoded(message: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(message))


def test_the_documented_acknowledgement() -> None:
    """The acknowledgement of the operation's own page is read whole, and says which operation it answers."""
    assert parse(samples.ACKNOWLEDGEMENT.raw) == OutboundRecord(
        original=samples.ACKNOWLEDGEMENT.raw,
        notification_type="DoNotCallAcknowledge",
        reference_id="123456789",
        operation="DoNotCallRecord",
        application_id=134,
        campaign_name="Campaign1",
        record_handle=13,
        calling_list="CallingList1",
        device_path=DEVICE_PATH,
    )


def test_the_documented_user_event() -> None:
    """The user event of the operation's own page is read whole, its times and its user data too."""
    assert parse(samples.USER_EVENT.raw) == DeviceUserEvent(
        original=samples.USER_EVENT.raw,
        user_data=encoded(samples.USER_EVENT.data["userData"]),
        device_id=DEVICE,
        user_event="DoNotCallAcknowledge",
        application_id=134,
        campaign_name="Campaign1",
        record_handle=13,
        phone_number="3001",
        calling_list="CallingList1",
        chain_id=None,
        chain_attribute="AllChain",
        timed=True,
        generated_ms=1433915450788,
        node_nanos=4352048,
        server_ms=5,
    )


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (samples.BY_PHONE_NUMBER, (134, "Campaign1", None, "3001", None, DEVICE_PATH)),
        (samples.PREVIEW_RECORD, (134, "Campaign1", 21, "3001", "CallingList1", None)),
        (samples.PUSH_PREVIEW, (134, "Campaign1", 22, "3001", None, None)),
    ],
)
def test_every_kind_of_record_names_its_record(sample: samples.Sample, expected: tuple[object, ...]) -> None:
    """By phone number, in `userData` or in `customFields`: application, campaign, handle and phone are found."""
    message = parse(sample.raw)
    assert isinstance(message, OutboundRecord)
    assert expected == (
        message.application_id,
        message.campaign_name,
        message.record_handle,
        message.phone_number,
        message.calling_list,
        message.device_path,
    )


def test_the_records_own_ids_count_before_those_of_its_user_data() -> None:
    """Where a record says a thing twice, its own field is taken."""
    both = {"recordHandle": 1, "userData": {"GSW_RECORD_HANDLE": 2, "GSW_CALLING_LIST": "L"}}
    message = parse(encoded({"messageType": "OutboundRecordMessage", "record": both}))
    assert isinstance(message, OutboundRecord)
    assert (message.record_handle, message.calling_list) == (1, "L")


def test_a_number_as_reference_is_its_digits() -> None:
    """Web Services' own references are numbers; they are published as text."""
    message = parse(samples.NUMERIC_REFERENCE.raw)
    assert isinstance(message, OutboundRecord)
    assert (message.reference_id, message.operation) == ("66", "RejectRecord")


def test_text_where_numbers_are_documented() -> None:
    """`"134"` in user data gives 134."""
    message = parse(samples.USER_EVENT_WITH_TEXT.raw)
    assert isinstance(message, DeviceUserEvent)
    assert (message.application_id, message.record_handle, message.timed) == (134, 13, False)


def test_minus_one_is_not_measured() -> None:
    """Web Services' serverProcessingTimeTotalMs of -1 is no duration."""
    message = parse(samples.CAMPAIGN_STATUS.raw)
    assert isinstance(message, DeviceUserEvent)
    assert (message.server_ms, message.node_nanos, message.record_handle) == (None, 101, None)


@pytest.mark.parametrize("sample", [samples.CAMPAIGN_MESSAGE, samples.ERROR, samples.DEVICE_STATE])
def test_other_types_are_unknown_and_whole(sample: samples.Sample) -> None:
    """Campaigns, errors and device states are neither of the two kinds; their type and body stay."""
    assert parse(sample.raw) == Unknown(sample.raw, "unknown-message-type", sample.data["messageType"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "no-data"),
        ("null", "no-data"),
        ("{}", "no-message-type"),
        ('{"messageType": null}', "no-message-type"),
        ('{"messageType": 5}', "no-message-type"),
        ('{"messageType": {"messageType": "OutboundRecordMessage"}}', "no-message-type"),
        ("[]", "not-an-object"),
        ('"OutboundRecordMessage"', "not-an-object"),
        ("1e999", "not-an-object"),
        ("<html>", "invalid-json"),
        ("{", "invalid-json"),
        (b"\xff\xfe", "invalid-json"),
    ],
)
def test_what_is_no_message_has_its_reason(data: str | bytes, reason: str) -> None:
    """Whatever stands in place of a message is unknown, with a stable word for why."""
    message = parse(raw(data))
    assert isinstance(message, Unknown)
    assert message.reason == reason


def test_an_acknowledgement_with_wrong_types_everywhere_is_still_one() -> None:
    """Nothing vanishes: the type alone says what a message is; what can't be read is None and stays in original."""
    wrong: list[object] = [True]
    data = encoded(
        {
            "messageType": "OutboundRecordMessage",
            "notificationType": wrong,
            "referenceId": wrong,
            "record": dict.fromkeys(
                [
                    "recordHandle",
                    "applicationId",
                    "campaignName",
                    "callingList",
                    "devicePath",
                    "phoneNumber",
                    "userData",
                ],
                wrong,
            ),
        }
    )
    assert parse(data) == OutboundRecord(original=data)


@pytest.mark.parametrize(
    "fields",
    [
        '"record": 5',
        '"record": null',
        '"record": {"recordHandle": 99999999999999999999}',
        f'"record": {{"recordHandle": {"9" * 5000}}}',
        '"record": {"recordHandle": 1e999}',
        '"record": {"recordHandle": true}',
        '"record": {"campaignName": "\\ud800"}',
        '"record": {"campaignName": NaN}',
        f'"record": {{"campaignName": {"[" * 300}{"]" * 300}}}',
        f'"x": "{"y" * 2_000_000}"',
        '"record": {"recordHandle": 1}, "record": []',
        '"messageType": "OutboundRecordMessage"',
    ],
)
def test_no_field_makes_an_acknowledgement_anything_else(fields: str) -> None:
    """Numbers beyond 64 bit, truth values, half surrogates, NaN, nesting, size, repeated names: still one."""
    message = parse(raw(f'{{"messageType": "OutboundRecordMessage", {fields}}}'))
    assert isinstance(message, OutboundRecord)
    assert message.record_handle is None
    msgspec.json.decode(message.original, type=msgspec.Raw)


def test_bytes_that_are_no_text_are_replaced() -> None:
    """What is published is UTF-8: a stray byte in a field that nobody reads is replaced, and the rest stays."""
    message = parse(raw(b'{"messageType": "OutboundRecordMessage", "referenceId": "7", "x": "\xff"}'))
    assert isinstance(message, OutboundRecord)
    assert message.reference_id == "7"
    assert (
        bytes(message.original).decode()
        == '{"messageType": "OutboundRecordMessage", "referenceId": "7", "x": "\ufffd"}'
    )


def test_nesting_without_end_is_told_not_raised() -> None:
    """A body nested deeper than any reader goes is published as text."""
    message = parse(raw('{"messageType": "OutboundRecordMessage", "x": ' + "[" * 200_000))
    assert isinstance(message, Unknown)
    assert message.reason == "invalid-json"
    assert isinstance(msgspec.json.decode(message.original), str)


GSW_DATA = {
    "GSW_APPLICATION_ID": 1,
    "GSW_CAMPAIGN_NAME": "a",
    "GSW_RECORD_HANDLE": 2,
    "GSW_PHONE": "b",
    "GSW_CALLING_LIST": "c",
    "GSW_USER_EVENT": "d",
    "GSW_CHAIN_ID": 3,
    "GSW_CHAIN_ATTR": "e",
}
IDS = {
    "applicationId": 4,
    "campaignName": "f",
    "recordHandle": 5,
    "phoneNumber": "g",
    "callingList": "h",
    "devicePath": "i",
}
TIMES = {"serverGenerationTimestamp": 6, "nodeProcessingTimeNanos": 7, "serverProcessingTimeTotalMs": 8}


@pytest.mark.parametrize(
    "fields",
    [
        {"notificationType": "n", "referenceId": "r", "record": IDS},
        {"record": {"phone": "p", "devicePath": "i"}},
        {"record": {"userData": GSW_DATA}},
        {"record": {"customFields": GSW_DATA}},
        {"deviceId": "d", "metrics": {"eventProcessing": TIMES}, "userData": GSW_DATA},
    ],
)
@pytest.mark.parametrize("kind", ["OutboundRecordMessage", "DeviceUserEventMessage"])
def test_both_ways_read_every_field(kind: str, fields: dict[str, Any]) -> None:
    """With every field present, the tolerant way reads each as the strict one does."""
    message = encoded({"messageType": kind, **fields})
    assert parse(message) == parse_tolerantly(message)


def test_a_wrong_key_of_the_user_data_costs_that_key_alone() -> None:
    """Where one GSW_ key has a wrong type, all others are read as ever, and the user data stays whole."""
    right = parse(encoded({"messageType": "DeviceUserEventMessage", "userData": GSW_DATA}))
    spoilt = encoded(GSW_DATA | {"GSW_PHONE": [True]})
    data = raw(b'{"messageType":"DeviceUserEventMessage","userData":' + bytes(spoilt) + b"}")
    expected = msgspec.structs.replace(right, original=data, user_data=spoilt, phone_number=None)
    assert parse(data) == expected


@given(DOCUMENTED_TYPES)
def test_the_strict_and_the_tolerant_way_agree(data: dict[str, Any]) -> None:
    """Of a message of the documented types, which the fast decoder takes, the slow one reads the same."""
    message = encoded(data)
    decode_body(message)
    assert parse(message) == parse_tolerantly(message)


@given(MESSAGE)
def test_the_two_ways_agree_wherever_the_strict_one_accepts(data: dict[str, Any]) -> None:
    """Of a message of any types, the slow decoder reads what the fast one does, if that takes it."""
    message = encoded(data)
    try:
        decode_body(message)
    except UNDECODABLE:
        reject()
    assert parse(message) == parse_tolerantly(message)


@given(MESSAGE)
def test_the_type_alone_decides_and_the_original_stays(data: dict[str, Any]) -> None:
    """Whatever the fields hold, a message keeps its kind and its bytes."""
    message = encoded(data)
    kinds: dict[str, type[msgspec.Struct]] = {
        "OutboundRecordMessage": OutboundRecord,
        "DeviceUserEventMessage": DeviceUserEvent,
    }
    parsed = parse(message)
    assert isinstance(parsed, kinds.get(data["messageType"], Unknown))
    assert parsed.original == message


@pytest.mark.parametrize("blank", ["\v", "\f", "\0", "\x1c", "\x85", "\u00a0", "\u2028", "\ufeff"])
@pytest.mark.parametrize("place", ["{0}0", "{0}{{}}", "{{}}{0}", "{{{0}}}", "{0}null", "{0}"])
def test_only_the_blanks_of_json_are_blanks(blank: str, place: str) -> None:
    """A blank that JSON doesn't know makes the data something else than JSON: it is published as text."""
    data = place.format(blank)
    message = parse(raw(data))
    assert isinstance(message, Unknown)
    assert message.reason == "invalid-json"
    assert json.loads(bytes(message.original)) == data


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\r", "\r\n "])
def test_blanks_around_a_message_change_nothing(blank: str) -> None:
    """The blanks of JSON may stand around a message, around `null` and in place of any data."""
    kind = '{"messageType": "OutboundRecordMessage"}'
    assert isinstance(parse(raw(blank + kind + blank)), OutboundRecord)
    assert parse_tolerantly(raw(blank + kind + blank)) == parse(raw(blank + kind + blank))
    assert parse(raw(f"{blank}null{blank}")) == parse(raw(blank)) == Unknown(raw("null"), "no-data")


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ud8messageTyp01.eE-\n', max_size=60).map(str.encode))
def test_no_bytes_raise(data: bytes) -> None:
    """Anything at all is parsed, and what is kept of it is JSON in UTF-8."""
    parsed = parse(msgspec.Raw(data))
    bytes(parsed.original).decode()
    msgspec.json.decode(parsed.original, type=msgspec.Raw)


def test_large_data_that_is_no_text_is_kept_as_it_came() -> None:
    """Data of millions of values with half a surrogate pair is told as text, without an object for each value."""
    data = b'["\\ud800"' + b",[]" * 2_000_000 + b"]"
    tracemalloc.start()
    try:
        found = parse(msgspec.Raw(data))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(found, Unknown)
    assert found.reason == "invalid-json"
    assert msgspec.json.decode(found.original) == data.decode()
    assert peak < 6 * len(data)
