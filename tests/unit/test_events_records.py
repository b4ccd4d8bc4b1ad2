"""Headers, and the records of session, operation and dead-letter events."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import events
from bridge.events import (
    HeaderTemplate,
    Operation,
    Record,
    Upstream,
    dead_letter,
    operation_record,
    session_hash,
    session_record,
)
from bridge.events.cloudevent import account_of, event_id, source

AT = 1_767_268_800.123
WRITTEN = "2026-01-01T12:00:00.123Z"
REQUIRED = {
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_dataschema",
    "content-type",
}


def headers_of(record: Record) -> dict[str, str]:
    headers = {name: value.decode() for name, value in record.headers}
    assert len(headers) == len(record.headers)
    return headers


def value_of(record: Record) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.json.decode(record.value)
    return value


def relayed(value: bytes = b'{"a":1}', key: bytes = b"134/Campaign1/13") -> Record:
    template = HeaderTemplate("gws.user-event.v1", "urn:x", "al/ice", WRITTEN)
    return Record(
        "user-events.v1", key, value, template.headers(b"session-18", key, sequence=b"18", traceparent="00-1")
    )


def test_the_topics_of_the_contract() -> None:
    """Every kind of event has its topic, in the contract's order."""
    assert events.TOPICS == (
        "acknowledgements.v1",
        "user-events.v1",
        "operations.v1",
        "sessions.v1",
        "unrecognized.v1",
        "dead-letters.v1",
    )


def test_a_session_is_named_by_a_hash_of_account_and_client() -> None:
    """The hash is the contract's, and an event's id is the hash and the event's number."""
    expected = hashlib.sha256(b"alice\x00client").hexdigest()[:16]
    assert session_hash("alice", "client") == expected
    assert event_id(expected, 7) == f"{expected}-7"


@given(st.text(min_size=1))
def test_a_source_tells_its_account(account: str) -> None:
    """Whatever an account is called, its source is an ASCII path of two segments that gives it back."""
    written = source(account)
    assert written.isascii()
    assert written.count("/") == 2
    assert account_of(written) == account
    assert account_of("/elsewhere/alice") is None


def test_sequence_and_traceparent_are_optional_headers() -> None:
    """What no session counts has no ce_sequence, and what no trace caused has no traceparent."""
    template = HeaderTemplate("type", "schema", "alice", WRITTEN)
    assert {name for name, _ in template.headers(b"id", b"key")} == REQUIRED
    more = dict(template.headers(b"id", b"key", sequence=b"0", traceparent="00-1"))
    assert (more["ce_sequence"], more["traceparent"]) == (b"0", b"00-1")


def test_a_gap_says_from_when_to_when() -> None:
    """The gap's record names the account, both sessions and both times."""
    record = session_record(
        "gap", account="alice", session="b", at=AT, previous_session="a", from_=AT - 10, to=AT, reason="unknown-client"
    )
    assert (record.topic, record.key) == ("sessions.v1", b"alice")
    assert value_of(record) == {
        "change": "gap",
        "account": "alice",
        "session": "b",
        "previousSession": "a",
        "from": "2026-01-01T11:59:50.123Z",
        "to": WRITTEN,
        "reason": "unknown-client",
        "ackExtension": None,
        "receivedAt": WRITTEN,
    }
    headers = headers_of(record)
    assert headers.keys() == REQUIRED
    assert (headers["ce_id"], headers["ce_type"], headers["ce_subject"]) == ("b-gap", "gws.session.v1", "alice")


@pytest.mark.parametrize("change", ["opened", "lost", "gap", "closed"])
def test_what_happens_to_a_session_once_has_one_id(change: Literal["opened", "lost", "gap", "closed"]) -> None:
    """A session is opened, lost and closed once: a second try, also of a new process, tells the same id."""
    tries = [session_record(change, account="alice", session="a", at=AT + late) for late in (0, 1)]
    assert headers_of(tries[0])["ce_id"] == headers_of(tries[1])["ce_id"]


def test_each_resumption_has_its_own_id() -> None:
    """A session can be resumed many times."""
    ids = {
        headers_of(session_record("resumed", account="alice", session="a", at=AT + later))["ce_id"] for later in (0, 1)
    }
    assert len(ids) == 2


def test_an_operation_is_keyed_by_its_reference() -> None:
    """Each status of an operation has the same key and its own id, with the caller's trace."""
    requested = Operation(
        reference_id="r1",
        operation="DoNotCallRecord",
        status="requested",
        at=WRITTEN,
        account="alice",
        received_at=WRITTEN,
        requested_by=None,
        record_handle=13,
        request=msgspec.Raw(b'{"applicationId":134}'),
    )
    accepted = msgspec.structs.replace(requested, status="accepted", upstream=Upstream(200, 0, None))
    first, second = (operation_record(each, traceparent="00-1") for each in (requested, accepted))
    assert first.key == second.key == b"r1"
    assert headers_of(first)["ce_id"] == f"r1-requested-{WRITTEN}"
    assert headers_of(second)["ce_id"] != headers_of(first)["ce_id"]
    assert headers_of(first)["traceparent"] == "00-1"
    assert value_of(second)["upstream"] == {"httpStatus": 200, "statusCode": 0, "statusMessage": None}
    assert value_of(first)["request"] == {"applicationId": 134}


def test_a_dead_letter_tells_what_was_refused() -> None:
    """Reason, topic, size, digest and start are told, and id, source and trace follow from the refused record's."""
    refused = relayed()
    record = dead_letter(refused, "too-large", at=AT)
    assert (record.topic, record.key) == ("dead-letters.v1", refused.key)
    assert value_of(record) == {
        "reason": "too-large",
        "topic": "user-events.v1",
        "size": len(refused.key) + len(refused.value),
        "sha256": hashlib.sha256(refused.value).hexdigest(),
        "start": '{"a":1}',
        "eventType": "gws.user-event.v1",
        "eventId": "session-18",
        "account": "al/ice",
        "receivedAt": WRITTEN,
        "problem": None,
        "detail": None,
        "partition": None,
        "offset": None,
    }
    headers = headers_of(record)
    assert headers["ce_id"] == "session-18-dead-letter"
    assert headers["ce_source"] == "/web-services/al%2Fice"
    assert (headers["ce_sequence"], headers["traceparent"]) == ("18", "00-1")


@pytest.mark.parametrize("value", [b"x" * 5_000_000, "\u20ac".encode() * 100_000, b"\xff" * 100_000])
def test_a_dead_letter_is_small_whatever_it_stands_for(value: bytes) -> None:
    """A huge key or value, also one that is no UTF-8, is cut to a readable start."""
    record = dead_letter(relayed(value, key="\u20ac".encode() * 100_000), "too-large", at=AT)
    assert 1_000 < len(record.key) <= 1_024
    assert record.key.decode() == "\u20ac" * 341
    assert len(value_of(record)["start"]) == 1_024
    assert sum(len(name) + len(header) for name, header in record.headers) + len(record.value) < 10_000


def test_a_dead_letter_of_a_record_without_headers() -> None:
    """Where nothing is known of the record, its digest is its name."""
    record = dead_letter(Record("x", b"k", b"v", []), "refused", at=AT)
    assert value_of(record)["account"] is None
    assert headers_of(record)["ce_id"] == hashlib.sha256(b"v").hexdigest() + "-dead-letter"
