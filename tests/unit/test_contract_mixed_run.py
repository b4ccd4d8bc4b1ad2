"""What the parts of the bridge really publish, held against every form of the contract."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

import fastavro
import jsonschema_rs
import msgspec
import pytest
import pytest_asyncio
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

from bridge.contract import asyncapi
from bridge.contract.fields import record_of
from bridge.contract.headers import headers_of
from bridge.events import KINDS, Kind, Record, Status, avro_schema_files, schema_files
from bridge.events.kinds.session import Change
from tests.unit.mixed_run import mixed_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.contract.fields import Field


@pytest_asyncio.fixture(scope="module")
async def run() -> Mapping[str, list[Record]]:
    """The records of a mixed run, by their `ce_type`."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in await mixed_run():
        found[dict(record.headers)["ce_type"].decode()].append(record)
    return found


async def test_the_run_has_everything(run: Mapping[str, list[Record]]) -> None:
    """Every kind is there, operations in each status, and sessions with each change: the other tests miss nothing."""
    assert run.keys() == {kind.event_type for kind in KINDS}
    told = {name: [msgspec.json.decode(record.value) for record in records] for name, records in run.items()}
    assert {value["status"] for value in told["gws.operation.v1"]} == set(get_args(Status))
    assert {value["change"] for value in told["gws.session.v1"]} == set(get_args(Change))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_values_are_valid_by_the_file_that_the_header_names(run: Mapping[str, list[Record]], kind: Kind) -> None:
    """Each record lies on its kind's topic, and its value is valid by the schema whose `$id` is `ce_dataschema`."""
    for record in run[kind.event_type]:
        assert record.topic == kind.topic
        text = schema_files()[dict(record.headers)["ce_dataschema"].decode()]
        jsonschema_rs.validator_for(json.loads(text), validate_formats=True).validate(json.loads(record.value))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_headers_are_those_of_the_asyncapi_document(run: Mapping[str, list[Record]], kind: Kind) -> None:
    """Each record has the headers of the contract, in their order, as the AsyncAPI document describes them."""
    schema = asyncapi()["components"]["messages"][f"{kind.name}-{kind.version}"]["headers"]
    validator = jsonschema_rs.validator_for(schema | {"additionalProperties": False})
    names = [header.name for header in headers_of(kind)]
    for record in run[kind.event_type]:
        headers = {name: value.decode() for name, value in record.headers}
        validator.validate(headers)
        assert [name for name in names if name in headers] == list(headers)
        assert headers["ce_subject"] == record.key.decode()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_the_cloudevents_sdk_reads_them_back(run: Mapping[str, list[Record]], kind: Kind) -> None:
    """The SDK finds every attribute in the headers, and the value as the data."""
    for record in run[kind.event_type]:
        headers = dict(record.headers)
        # The SDK lets a required attribute be missing.
        assert all(headers[name] for name in ("ce_specversion", "ce_id", "ce_source", "ce_type"))
        event = from_kafka_event(KafkaMessage(headers=headers, key=record.key, value=record.value))
        assert (event.get_specversion(), event.get_type()) == ("1.0", kind.event_type)
        assert (event.get_dataschema(), event.get_datacontenttype()) == (kind.schema, "application/json")
        assert event.get_id().encode() == headers["ce_id"]
        assert event.get_source().startswith("/web-services/")
        assert (event.get_subject() or "").encode() == record.key
        assert event.get_time() == datetime.fromisoformat(headers["ce_time"].decode())
        assert event.get_data() == json.loads(record.value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_the_avro_schema_takes_them(run: Mapping[str, list[Record]], kind: Kind) -> None:
    """Each value can be written by the kind's Avro schema, with no field left over, and is read back the same."""
    schema = fastavro.parse_schema(json.loads(avro_schema_files()[kind.schema]))
    for record in run[kind.event_type]:
        value = as_avro(record_of(kind.struct).fields, json.loads(record.value))
        written = io.BytesIO()
        fastavro.schemaless_writer(written, schema, value, strict=True)
        written.seek(0)
        assert fastavro.schemaless_reader(written, schema, None) == value
        assert written.read() == b""


def as_avro(fields: tuple[Field, ...], value: dict[str, Any]) -> dict[str, Any]:
    """The value with the JSON in it as text, which is how Avro has it."""

    def one(field: Field) -> Any:
        told = value[field.name]
        if field.record is not None and told is not None:
            return as_avro(field.record.fields, told)
        text = field.form == "json" and not (field.nullable and told is None)
        return json.dumps(told) if text else told

    return {field.name: one(field) for field in fields}
