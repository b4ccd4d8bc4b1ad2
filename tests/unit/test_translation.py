from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd.messages.batch import Event
from bridge.events import Record, session_hash
from bridge.relay.translation import Translation, Translator
from tests.page import DEVICE, DEVICE_PATH
from tests.unit import upstream_samples as samples

SESSION = session_hash("alice", "client")
RECEIVED_AT = 1_767_268_800.123


def translate(*events: Event, account: str = "alice", first_sequence: int = 0) -> Translation:
    return Translator(account).translate(
        events, session=SESSION, first_sequence=first_sequence, received_at=RECEIVED_AT
    )


def one(event: Event, account: str = "alice") -> tuple[Record, dict[str, Any]]:
    (record,) = translate(event, account=account).records
    return record, msgspec.json.decode(record.value)


def test_one_record_an_event_in_order() -> None:
    """Every event gives one record, in the server's order, numbered on from the first sequence."""
    records = translate(*(sample.event for sample in samples.SAMPLES), first_sequence=17).records
    ids = [dict(record.headers)["ce_id"].decode() for record in records]
    assert ids == [f"{SESSION}-{17 + index}" for index in range(len(samples.SAMPLES))]
    originals = [msgspec.json.decode(record.value)["original"] for record in records]
    assert originals == [sample.data for sample in samples.SAMPLES]


@pytest.mark.parametrize("keep", [0, 1, 5, 100])
def test_only_the_last_messages_are_kept(keep: int) -> None:
    """The parsed messages are those of the last records, as many as were asked for."""
    events = [sample.event for sample in samples.SAMPLES]
    whole = translate(*events)
    some = Translator("alice").translate(events, session=SESSION, first_sequence=0, received_at=RECEIVED_AT, keep=keep)
    assert some.parsed == whole.parsed[max(0, len(events) - keep) :]
    assert (some.records, some.counts) == (whole.records, whole.counts)


def test_counts_by_kind() -> None:
    """The counts say how many events of each kind there were, all kinds named also at none."""
    translation = translate(*(sample.event for sample in samples.SAMPLES))
    assert translation.counts == {"acknowledgement": 6, "user-event": 3, "unrecognized": 3}
    assert translation.acknowledgements == 6
    assert translate().counts == {"acknowledgement": 0, "user-event": 0, "unrecognized": 0}


def test_the_documented_acknowledgement() -> None:
    """The page's acknowledgement becomes the contract's value, key, topic and headers."""
    record, value = one(samples.ACKNOWLEDGEMENT.event)
    assert (record.topic, record.key) == ("acknowledgements.v1", b"134/Campaign1/13")
    assert value == {
        "notificationType": "DoNotCallAcknowledge",
        "referenceId": "123456789",
        "recordHandle": 13,
        "phoneNumber": None,
        "applicationId": 134,
        "campaignName": "Campaign1",
        "callingList": "CallingList1",
        "devicePath": DEVICE_PATH,
        "operation": "DoNotCallRecord",
        "account": "alice",
        "receivedAt": "2026-01-01T12:00:00.123Z",
        "original": samples.ACKNOWLEDGEMENT.data,
    }
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": f"{SESSION}-0".encode(),
        "ce_source": b"/web-services/alice",
        "ce_type": b"gws.acknowledgement.v1",
        "ce_time": b"2026-01-01T12:00:00.123Z",
        "ce_subject": b"134/Campaign1/13",
        "ce_dataschema": b"urn:cometd-kafka-bridge:schema:acknowledgement:v1",
        "content-type": b"application/json",
        "ce_sequence": b"0",
    }


def test_the_documented_user_event() -> None:
    """The page's user event becomes the contract's value, with the acknowledgement's key."""
    record, value = one(samples.USER_EVENT.event)
    assert (record.topic, record.key) == ("user-events.v1", b"134/Campaign1/13")
    assert value == {
        "userEvent": "DoNotCallAcknowledge",
        "recordHandle": 13,
        "applicationId": 134,
        "campaignName": "Campaign1",
        "callingList": "CallingList1",
        "phoneNumber": "3001",
        "chainId": None,
        "chainAttribute": "AllChain",
        "deviceId": DEVICE,
        "generatedAt": "2015-06-10T05:50:50.788Z",
        "processing": {"nodeNanos": 4352048, "serverMs": 5},
        "userData": samples.USER_EVENT.data["userData"],
        "account": "alice",
        "receivedAt": "2026-01-01T12:00:00.123Z",
        "original": samples.USER_EVENT.data,
    }


@pytest.mark.parametrize(
    ("sample", "key"),
    [
        (samples.BY_PHONE_NUMBER, "134/Campaign1/3001"),
        (samples.USER_EVENT_WITH_TEXT, "134/Campaign1/13"),
        (samples.CAMPAIGN_STATUS, DEVICE),
        (samples.PUSH_PREVIEW, "134/Campaign1/22"),
        (samples.DEVICE_STATE, "alice"),
    ],
)
def test_keys(sample: samples.Sample, key: str) -> None:
    """The record's key, else the device's, else the account: and the subject is the key."""
    record, _ = one(sample.event)
    assert record.key.decode() == key
    assert dict(record.headers)["ce_subject"] == record.key


def test_an_unrecognized_message_is_raw_with_its_reason() -> None:
    """A message of another type goes to its own topic with channel, type and body."""
    record, value = one(samples.ERROR.event)
    assert record.topic == "unrecognized.v1"
    assert value == {
        "reason": "unknown-message-type",
        "channel": "/v2/me/devices",
        "messageType": "ErrorMessage",
        "account": "alice",
        "receivedAt": "2026-01-01T12:00:00.123Z",
        "original": samples.ERROR.data,
    }


def test_a_message_without_data_is_published() -> None:
    """An event without data is no reason to lose it: original is null."""
    _, value = one(Event("/v2/me/calls"))
    assert (value["reason"], value["original"]) == ("no-data", None)


@pytest.mark.parametrize("milliseconds", [-1, 10**15, 2**63])
def test_a_time_beyond_all_calendars_is_none(milliseconds: int) -> None:
    """A generation time that is no time of RFC 3339 gives none, and the event is published."""
    times = {"eventProcessing": {"serverGenerationTimestamp": milliseconds}}
    data = samples.USER_EVENT.data | {"metrics": times}
    _, value = one(Event("/me/internal", msgspec.Raw(msgspec.json.encode(data))))
    assert value["generatedAt"] is None
    assert value["processing"] == {"nodeNanos": None, "serverMs": None}


def test_an_account_is_percent_encoded_in_the_source() -> None:
    """`ce_source` is a URI whatever the account is called."""
    record, value = one(samples.ACKNOWLEDGEMENT.event, account="Ann Ö/1")
    assert dict(record.headers)["ce_source"] == b"/web-services/Ann%20%C3%96%2F1"
    assert value["account"] == "Ann Ö/1"


@given(st.lists(st.tuples(st.text(), st.binary()), max_size=3))
def test_any_bytes_give_records(bodies: list[tuple[str, bytes]]) -> None:
    """Whatever arrives, each event gives a record whose key is not empty and whose value is JSON in UTF-8."""
    records = translate(*(Event(channel, msgspec.Raw(data)) for channel, data in bodies)).records
    assert len(records) == len(bodies)
    for record in records:
        assert record.key.decode()
        assert isinstance(msgspec.json.decode(record.value, type=dict[str, msgspec.Raw]), dict)
        record.value.decode()
