"""The registry's formats, from the real servers through the bridge as a process to Confluent's own deserialisers."""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from bridge.delivery import ConsumedRecord, read
from bridge.events import KINDS, avro_schema_files
from tests import page
from tests.faults.bridge_process import BridgeProcess
from tests.faults.operations import caller
from tests.faults.site import Site
from tests.real import RealRegistry
from tests.unit.cli_process import bridge as command
from tests.waiting import eventually

FORMATS = ["json-registry", "avro-registry"]
ALL_KINDS = {kind.event_type for kind in KINDS}
TOO_LARGE = 2 << 20
JSON_TEXTS = ("original", "request", "userData")


def variables(registry: RealRegistry, form: str, **more: str) -> dict[str, str]:
    return {"KAFKA__FORMAT": form, "KAFKA__REGISTRY__URL": registry.url, **more}


async def events(site: Site) -> list[ConsumedRecord]:
    async with aclosing(read(site.settings, from_beginning=True, until_end=True)) as records:
        return [record async for record in records]


async def mixed_run(site: Site, bridge: BridgeProcess) -> list[ConsumedRecord]:
    """Let events of every kind happen, and return them as they lie in Kafka."""
    for message in (page.ACKNOWLEDGEMENT, page.USER_EVENT):
        await site.web.publish(message["channel"], message["data"])
    await site.web.publish("/v2/me/devices", {"messageType": "DeviceStateChangeMessage", "devices": []})
    await site.web.generate(1, pad=TOO_LARGE)
    async with caller(bridge) as rest:
        assert (await rest.post("1", "wait=20")).body["status"] == "acknowledged"

    async def all_kinds() -> bool:
        return {types(record) for record in await events(site)} == ALL_KINDS

    await eventually(all_kinds)
    return await events(site)


def types(record: ConsumedRecord) -> str:
    return record.headers["ce_type"].decode()


def by_confluent(registry: RealRegistry, form: str, records: list[ConsumedRecord]) -> list[dict[str, Any]]:
    """The values as Confluent's deserialisers give them, with the registry to ask."""
    with SchemaRegistryClient({"url": registry.url}) as client:
        if form == "avro-registry":
            deserializer: Any = AvroDeserializer(client)
        else:
            deserializer = JSONDeserializer(None, schema_registry_client=client)
        return [
            deserializer(record.value, SerializationContext(record.topic, MessageField.VALUE)) for record in records
        ]


@pytest.mark.parametrize("form", FORMATS)
async def test_every_kind_is_read_by_the_official_deserialisers(
    site: Site, real_registry: RealRegistry, form: str
) -> None:
    """Every kind of event is read with the schema in the registry; `bridge tail` shows the same without being told."""
    bridge = await site.ready_bridge(**variables(real_registry, form))
    records = await mixed_run(site, bridge)
    values = await asyncio.to_thread(by_confluent, real_registry, form, records)
    assert {types(record) for record in records} == ALL_KINDS
    tail = await command(
        "tail",
        "--from-beginning",
        "--json",
        "--events",
        str(len(records)),
        environment=site.environment(**variables(real_registry, "json")),
    )
    lines = [msgspec.json.decode(line) for line in tail.output.splitlines()]
    shown = {(line["topic"], line["partition"], line["offset"]): line["value"] for line in lines}
    for record, value in zip(records, values, strict=True):
        for name in JSON_TEXTS:
            if form == "avro-registry" and name in value:
                value[name] = msgspec.json.decode(value[name])
        assert value == shown[record.topic, record.partition, record.offset]
        assert value["account"] == "agent"
    [letter] = [value for record, value in zip(records, values, strict=True) if types(record) == "gws.dead-letter.v1"]
    assert letter["reason"] == "too-large"


@pytest.mark.parametrize(
    ("form", "level"), [("json-registry", "BACKWARD_TRANSITIVE"), ("avro-registry", "FULL_TRANSITIVE")]
)
async def test_registry_down_at_the_start(site: Site, form: str, level: str) -> None:
    """A bridge whose registry is down takes no account and says why; it starts when the registry does.

    Its subjects then have their compatibility level, and a later end of the registry stops nothing.
    """
    registry = RealRegistry()
    bridge = await site.bridge(**variables(registry, form))
    await bridge.without("schema-registry")
    [missing] = await bridge.missing()
    assert registry.url in missing.reason
    assert await site.client_ids() == set()
    async with registry:
        await bridge.ready()
        with SchemaRegistryClient({"url": registry.url}) as client:
            levels = {client.get_compatibility(f"{site.prefix}.{kind.topic}-value") for kind in KINDS}
        assert levels == {level}
    await site.web.publish(page.ACKNOWLEDGEMENT["channel"], page.ACKNOWLEDGEMENT["data"])
    async with asyncio.timeout(20):
        while "gws.acknowledgement.v1" not in {types(record) for record in await events(site)}:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert await bridge.missing() == []


async def test_incompatible_subject(site: Site, real_registry: RealRegistry) -> None:
    """Where a subject has a schema that the bridge's breaks with, readiness and `bridge check` name the subject."""
    subject = f"{site.prefix}.sessions.v1-value"
    other = {"type": "record", "name": "Other", "fields": [{"name": "weight", "type": "double"}]}
    with SchemaRegistryClient({"url": real_registry.url}) as client:
        client.register_schema(subject, Schema(msgspec.json.encode(other).decode(), "AVRO"))
    settings = variables(real_registry, "avro-registry")
    bridge = await site.bridge(**settings)
    await bridge.without("schema-registry")

    async def named() -> bool:
        return any("(409)" in one.reason and subject in one.reason for one in await bridge.missing())

    await bridge.until(named, within=20, what="told which subject")
    checked = await command("check", environment=site.environment(**settings))
    assert checked.findings()["schema-registry"] == "failed"
    assert subject in checked.output


async def test_lookup_only(site: Site, real_registry: RealRegistry) -> None:
    """With auto_register off nothing is registered; the reason names what is missing, and with that it goes on."""
    settings = variables(real_registry, "avro-registry", KAFKA__REGISTRY__AUTO_REGISTER="false")
    bridge = await site.bridge(**settings)
    await bridge.without("schema-registry")

    async def named() -> bool:
        return any("AUTO_REGISTER" in one.reason for one in await bridge.missing())

    await bridge.until(named, within=20, what="told what is missing")
    checked = await command("check", environment=site.environment(**settings))
    assert checked.findings()["schema-registry"] == "failed"
    with SchemaRegistryClient({"url": real_registry.url}) as client:
        for kind in KINDS:
            with pytest.raises(SchemaRegistryError):
                client.get_latest_version(f"{site.prefix}.{kind.topic}-value")
        for kind in KINDS:
            client.register_schema(
                f"{site.prefix}.{kind.topic}-value", Schema(avro_schema_files()[kind.schema], "AVRO")
            )
    await bridge.ready()
