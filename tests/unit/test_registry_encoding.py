"""How values are written with a registry, and what waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest

from bridge.errors import RegistryUnavailable, SettingsError
from bridge.events import JSON, KINDS, PlainJson, dead_letter, session_record
from bridge.operations import OperationRecords
from bridge.registry import encoding_of
from bridge.registry.encoding import RegistryEncoding
from bridge.registry.reading import Reader
from bridge.registry.subjects import subjects
from bridge.relay.translation import Translator
from bridge.settings import Kafka, Registry
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit import upstream_samples as samples
from tests.unit.operation_parts import (
    ACCOUNT,
    KEYS,
    ScriptedUpstream,
    acknowledgement,
    running,
    submission,
    turn,
)
from tests.unit.relay_parts import Process, Server
from tests.waiting import eventually

if TYPE_CHECKING:
    from bridge.events import Encoding
    from bridge.registry.client import SchemaRegistry
    from bridge.registry.subjects import Subject

Format = Literal["json-registry", "avro-registry"]
FORMATS: tuple[Format, ...] = ("json-registry", "avro-registry")


class ScriptedRegistry:
    """Gives ids from 1 on, but first fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.ids: dict[str, int] = {}

    async def id_of(self, subject: Subject) -> int:
        if self.failures:
            self.failures -= 1
            raise RegistryUnavailable("it is away")
        return self.ids.setdefault(subject.name, len(self.ids) + 1)

    async def avro_schema(self, id_: int) -> str | None:
        raise AssertionError(f"asked for {id_}, which the bridge knows itself")


def settings(form: Format, **registry: str) -> Kafka:
    return Kafka(
        bootstrap_servers="k:1", format=form, registry=Registry.model_validate({"url": "http://r", **registry})
    )


def encoding(form: Format, failures: int = 0) -> RegistryEncoding:
    registry: SchemaRegistry = ScriptedRegistry(failures)  # type: ignore[assignment]
    return RegistryEncoding(settings(form), registry, Reader(registry))


@pytest.mark.parametrize("form", FORMATS)
async def test_every_record_is_written_and_read_back(form: Format) -> None:
    """A record of each format has the schema's id before its value, names the schema, and reads back as plain JSON."""
    written = encoding(form)
    await written.run()
    arrived = [samples.ACKNOWLEDGEMENT.event, samples.USER_EVENT.event, samples.CAMPAIGN_MESSAGE.event]

    def records(how: Encoding) -> list[tuple[bytes, dict[str, bytes]]]:
        relayed = Translator("a", how).translate(arrived, session="s", first_sequence=0, received_at=0).records
        told = session_record("opened", account="a", session="s", at=0, encoding=how)
        return [
            (one.value, dict(one.headers)) for one in (*relayed, told, dead_letter(told, "refused", at=0, encoding=how))
        ]

    for number, ((value, headers), (plain, plain_headers)) in enumerate(
        zip(records(written), records(JSON), strict=True)
    ):
        ids = [1, 2, 5, 4, 6]
        assert value[:5] == b"\0" + ids[number].to_bytes(4, "big")
        read = msgspec.json.decode(await written.json_of(value))
        if number < 4:  # a dead letter tells of other bytes
            assert read == msgspec.json.decode(plain)
        urn = plain_headers["ce_dataschema"].replace(b":schema:", b":avro:" if form == "avro-registry" else b":schema:")
        assert headers["ce_dataschema"] == urn
        assert headers["content-type"] == (b"application/avro" if form == "avro-registry" else b"application/json")
        assert headers.keys() == plain_headers.keys()


async def test_a_registry_that_is_away_is_tried_again() -> None:
    """Until the registry has answered for every kind nothing can be written, and the reason is told."""
    written = encoding("avro-registry", failures=2)
    assert written.missing is not None
    with pytest.raises(RegistryUnavailable):
        written.form(KINDS[0].schema)
    async with asyncio.timeout(30):
        starting = asyncio.create_task(written.run())
        await eventually(lambda: written.missing == "it is away")
        await written.ready()
        await starting
    assert written.form(KINDS[0].schema).schema == "urn:cometd-kafka-bridge:avro:acknowledgement:v1"


async def test_a_bridge_that_can_not_write_takes_no_account() -> None:
    """A relay does not claim its account before it knows its schemas: the bridge that has the account goes on."""
    kafka = MemoryKafka()
    written = encoding("avro-registry")
    process = Process(Server(), MemoryPublisher(kafka, "agent"), encoding=written)
    starting = asyncio.create_task(process.start())
    await asyncio.sleep(0)
    assert not kafka.epochs
    await written.run()
    async with asyncio.timeout(30):
        await starting
    assert kafka.epochs
    await process.end()


async def test_operations_are_refused_until_they_can_be_told() -> None:
    """Before the registry has answered nothing is forwarded; an operation that nobody could be told of is no good."""
    written, upstream = encoding("avro-registry"), ScriptedUpstream()
    async with running(upstream, records=OperationRecords(written)) as service:
        for submit in (service.submit, service.submit_async):
            with pytest.raises(RegistryUnavailable):
                await submit(submission())
        assert upstream.requests == []
        await written.run()
        assert (await service.submit(submission())).status == "accepted"


async def test_the_ledger_is_read_across_a_change_of_the_format() -> None:
    """Operations that were written in another format are known to the next process, and end there."""
    avro, json, kafka = encoding("avro-registry"), encoding("json-registry"), MemoryKafka()
    await asyncio.gather(avro.run(), json.run())
    formats: list[Encoding] = [JSON, json, avro]
    for number, how in enumerate(formats):
        async with running(ScriptedUpstream(), kafka, records=OperationRecords(how, keys={ACCOUNT: KEYS})) as service:
            await service.submit(submission(str(number)))
    assert {record.value[:1] for record in kafka.records} == {b"{", b"\0"}
    async with running(
        ScriptedUpstream(), kafka, records=OperationRecords(PlainJson(avro.json_of), keys={ACCOUNT: KEYS})
    ) as service:
        await turn(service, *(acknowledgement(str(number)) for number in range(3)))
        assert [service.get(str(number)).status for number in range(3)] == ["acknowledged"] * 3


@pytest.mark.parametrize(
    ("naming", "form", "expected"),
    [
        ("topic", "json-registry", "gws.user-events.v1-value"),
        ("topic", "avro-registry", "gws.user-events.v1-value"),
        ("record", "json-registry", "User event"),
        ("record", "avro-registry", "gws.v1.UserEvent"),
    ],
)
def test_subjects(naming: str, form: Format, expected: str) -> None:
    """A subject is the topic's, or the record's own name as Confluent's strategies have it."""
    named = subjects(settings(form, subject_naming=naming))
    assert named[1].name == expected
    assert len({subject.name for subject in named}) == len(KINDS)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the start stops with what to install; without a registry nothing of it is needed."""
    monkeypatch.setitem(__import__("sys").modules, "bridge.registry.client", None)
    with pytest.raises(SettingsError, match="extra `registry`"):
        encoding_of(settings("avro-registry"))
    assert encoding_of(Kafka(bootstrap_servers="k:1")) is JSON
