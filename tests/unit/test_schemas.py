from __future__ import annotations

from types import UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import events
from bridge.cometd.messages.batch import Event
from bridge.events import (
    CONTRACT_KINDS,
    SCHEMA_PREFIX,
    Acknowledgement,
    DeadLetter,
    Operation,
    Processing,
    Record,
    Session,
    Unrecognized,
    Upstream,
    UserEvent,
    avro_schema_files,
    schema_files,
    schemas_directory,
)
from bridge.relay.translation import Translator
from bridge.webservices import NOTIFICATIONS
from tests.unit import upstream_samples as samples
from tests.unit.test_messages import MESSAGE

Struct: TypeAlias = type[msgspec.Struct]

STRUCTS: dict[str, Struct] = {kind.schema: kind.struct for kind in CONTRACT_KINDS}
AVRO_SCHEMAS: dict[str, Any] = {id_: msgspec.json.decode(text) for id_, text in avro_schema_files().items()}
SCHEMAS: dict[str, dict[str, Any]] = {id_: msgspec.json.decode(text) for id_, text in schema_files().items()}
VALIDATORS = {id_: jsonschema_rs.validator_for(schema, validate_formats=True) for id_, schema in SCHEMAS.items()}

INT64 = st.integers(-(2**63), 2**63 - 1)
TIME = st.integers(0, 253_402_300_799_999).map(events.rfc3339_milliseconds)
RAW_OBJECT = st.just(msgspec.Raw(b'{"GSW_PHONE":"3001"}'))
SPECIAL: dict[tuple[Struct, str], st.SearchStrategy[Any]] = {
    (Acknowledgement, "operation"): st.none() | st.sampled_from(list(NOTIFICATIONS.values())),
    (UserEvent, "generated_at"): st.none() | TIME,
    (Session, "from_"): st.none() | TIME,
    (Session, "to"): st.none() | TIME,
    (Operation, "at"): TIME,
    (Operation, "latency_ms"): st.none() | st.integers(0, 10**9),
    (Processing, "server_ms"): st.none() | st.integers(0, 2**63 - 1),
    (Unrecognized, "reason"): st.sampled_from(
        ["unknown-message-type", "no-message-type", "not-an-object", "no-data", "invalid-json"]
    ),
    (DeadLetter, "size"): st.integers(0, 2**40),
    (Operation, "attempt"): st.integers(1, 2**31),
    (DeadLetter, "sha256"): st.binary(min_size=32, max_size=32).map(bytes.hex),
    (DeadLetter, "start"): st.text(max_size=1024),
}


def structs(kind: Struct) -> st.SearchStrategy[msgspec.Struct]:
    """Every value that the struct's types allow."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: field(kind, name, hints[name]) for name in kind.__struct_fields__})


def field(kind: Struct, name: str, type_: Any) -> st.SearchStrategy[Any]:
    if name == "received_at":
        return TIME
    if (kind, name) in SPECIAL:
        return SPECIAL[kind, name]
    options = get_args(type_) if get_origin(type_) in {Union, UnionType} else (type_,)
    return st.one_of([one(option) for option in options])


def one(type_: Any) -> st.SearchStrategy[Any]:
    if type_ is int:
        return INT64
    if type_ is msgspec.Raw:
        return RAW_OBJECT
    if type_ in {Processing, Upstream}:
        return structs(type_)
    return st.from_type(type_)


def assert_valid(record: Record) -> None:
    id_ = dict(record.headers)["ce_dataschema"].decode()
    VALIDATORS[id_].validate(msgspec.json.decode(record.value))


def test_every_kind_has_its_schema_and_none_is_left_over() -> None:
    """The `$id`s are exactly the ones that `ce_dataschema` names, and tell where the file lies."""
    assert SCHEMAS.keys() == STRUCTS.keys() == AVRO_SCHEMAS.keys()
    for kind in CONTRACT_KINDS:
        assert kind.schema == f"{SCHEMA_PREFIX}{kind.name}:{kind.version}"
        assert kind.event_type == f"gws.{kind.name}.{kind.version}"
        assert (schemas_directory() / kind.name / f"{kind.version}.json").is_file()


@pytest.mark.parametrize("id_", STRUCTS)
def test_a_schema_is_one(id_: str) -> None:
    """Each file is a JSON Schema of 2020-12, closed, each property described, and required unless added later."""
    schema = SCHEMAS[id_]
    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert schema["required"] == [name for name, each in schema["properties"].items() if "default" not in each]
    assert all(each["description"] for each in schema["properties"].values())


@pytest.mark.parametrize(("id_", "kind"), STRUCTS.items())
def test_struct_and_schema_have_the_same_fields(id_: str, kind: Struct) -> None:
    """The properties are the struct's fields as encoded, in the same order."""
    assert list(SCHEMAS[id_]["properties"]) == list(kind.__struct_encode_fields__)
    nested: dict[Struct, Any] = {
        Processing: SCHEMAS[events.user_event.SCHEMA]["properties"]["processing"],
        Upstream: SCHEMAS[events.operation.SCHEMA]["properties"]["upstream"],
    }
    for struct, schema in nested.items():
        assert list(schema["properties"]) == schema["required"] == list(struct.__struct_encode_fields__)


@pytest.mark.parametrize(("id_", "kind"), STRUCTS.items())
def test_the_examples_are_valid_and_are_what_the_bridge_publishes(id_: str, kind: Struct) -> None:
    """Every example is valid against its own schema, and the struct writes it back unchanged."""
    assert SCHEMAS[id_]["examples"]
    for example in SCHEMAS[id_]["examples"]:
        VALIDATORS[id_].validate(example)
        decoded = msgspec.json.decode(msgspec.json.encode(example), type=kind)
        assert msgspec.json.decode(msgspec.json.encode(decoded)) == example


def test_the_examples_are_the_upstream_pages() -> None:
    """The examples of the two relayed kinds show what the documented messages become."""
    for sample in (samples.ACKNOWLEDGEMENT, samples.USER_EVENT):
        (record,) = (
            Translator("bridge")
            .translate([sample.event], session="0" * 16, first_sequence=0, received_at=1_767_268_800.123)
            .records
        )
        (example,) = SCHEMAS[dict(record.headers)["ce_dataschema"].decode()]["examples"]
        assert msgspec.json.decode(record.value) == example


@pytest.mark.parametrize("id_", STRUCTS)
def test_a_schema_refuses_what_is_not_its_own(id_: str) -> None:
    """A missing field that is required, a field more, and a field of a wrong type are all refused."""
    (example,) = SCHEMAS[id_]["examples"]
    assert not VALIDATORS[id_].is_valid(example | {"more": 1})
    assert not VALIDATORS[id_].is_valid(example | {"receivedAt": "yesterday"})
    for name in example:
        without = {key: value for key, value in example.items() if key != name}
        assert VALIDATORS[id_].is_valid(without) is (name not in SCHEMAS[id_]["required"])
        if name != "original":
            assert not VALIDATORS[id_].is_valid(example | {name: ["wrong"]})


@pytest.mark.parametrize(("id_", "kind"), STRUCTS.items())
def test_whatever_a_struct_can_hold_is_valid(id_: str, kind: Struct) -> None:
    """No value of the struct's types is outside of its schema."""

    @given(structs(kind))
    def check(value: msgspec.Struct) -> None:
        VALIDATORS[id_].validate(msgspec.json.decode(msgspec.json.encode(value)))

    check()


@given(st.lists(MESSAGE.map(msgspec.json.encode) | st.binary(max_size=20), min_size=1, max_size=3))
def test_whatever_arrives_is_published_validly(bodies: list[bytes]) -> None:
    """Messages of every shape, and bytes that are none, become values that are valid against their schema."""
    arrived = [Event("/v2/me/outbound", msgspec.Raw(body)) for body in bodies]
    translated = Translator("alice").translate(arrived, session="0" * 16, first_sequence=0, received_at=0)
    for record in translated.records:
        assert_valid(record)
        assert_valid(events.dead_letter(record, "refused", at=0))
