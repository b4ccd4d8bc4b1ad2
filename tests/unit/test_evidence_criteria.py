"""The search of a record's bytes: it must not pass over a record that belongs to the search."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.delivery import ConsumedRecord
from bridge.events import acknowledgement, operation, user_event
from bridge.evidence.content import Content, Found, named_in
from bridge.evidence.criteria import FEW, Criteria

TOPICS = (acknowledgement.TOPIC, operation.TOPIC, user_event.TOPIC)
NUMBERS = st.text("0123456789", min_size=3, max_size=15).map(lambda digits: f"+{digits}")
SEPARATORS = st.text(" \t-.()", max_size=3)


def phones(*numbers: str) -> Criteria:
    criteria = Criteria(phones=set(numbers))
    criteria.prepare()
    return criteria


def belongs(criteria: Criteria, topic: str, value: bytes) -> bool:
    """Whether the decoded value meets the criteria."""
    content = msgspec.json.decode(value, type=Content)
    record = ConsumedRecord(f"gws.{topic}", 0, 0, 0, b"key", {}, value)
    return criteria.meets(Found(record, topic, content, named_in(content)))


@given(number=NUMBERS, topic=st.sampled_from(TOPICS), ascii_only=st.booleans(), data=st.data())
def test_a_number_is_found_however_it_is_written(
    number: str, topic: str, *, ascii_only: bool, data: st.DataObject
) -> None:
    """No separators between the digits, and no escapes of JSON, hide a phone number from the search of the bytes."""
    written = "".join(one + data.draw(SEPARATORS) for one in number)
    text = json.dumps(written, ensure_ascii=ascii_only)
    if data.draw(st.booleans()):
        text = text.replace(number[1], f"\\u{ord(number[1]):04x}", 1)
    named = f'{{"phoneNumber":{text}}}'
    value = f'{{"receivedAt":"","request":{named}}}'.encode() if topic == operation.TOPIC else named.encode()
    criteria = phones(number)
    assert belongs(criteria, topic, value)
    assert criteria.may_meet(topic, b"key", value)


def test_other_numbers_are_not_decoded() -> None:
    """The search of the bytes leaves records of other numbers out, also if they have most of the digits."""
    criteria = phones("+15550107", "hmac-0123")
    for number in ("+15550108", "5550107", "+1555010", "hmac-0124"):
        assert not criteria.may_meet(user_event.TOPIC, b"key", msgspec.json.encode({"phoneNumber": number}))
    for number in ("+15550107", "+1 (555) 01-07", "hmac-0123"):
        assert criteria.may_meet(user_event.TOPIC, b"key", msgspec.json.encode({"phoneNumber": number}))


def test_many_references_are_found() -> None:
    """With more references than the bytes are searched for, each acknowledgement is decoded."""
    for count in (FEW, FEW + 1):
        criteria = Criteria(references={f"r{number}" for number in range(count)})
        criteria.prepare()
        value = msgspec.json.encode({"referenceId": f"r{count - 1}"})
        assert criteria.may_meet(acknowledgement.TOPIC, b"134/Spring/7", value)
        assert criteria.may_meet(operation.TOPIC, b"r0", value)
