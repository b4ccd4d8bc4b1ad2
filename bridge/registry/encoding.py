"""Writes values in the registry's wire format: a frame (5 bytes with the schema's id), then JSON or Avro."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from bridge.errors import RegistryUnavailable, SettingsError, installation_of
from bridge.events import CONTENT_TYPE, FRAME_BYTES, JSON, Form, PlainJson
from bridge.pacing import Backoff
from bridge.registry.subjects import subjects

if TYPE_CHECKING:
    from bridge.events import Encode, Encoding
    from bridge.registry.client import SchemaRegistry
    from bridge.registry.reading import Reader
    from bridge.registry.subjects import Subject
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

AVRO: Final = "application/avro"
PATIENCE: Final = 5.0
"""Longest time between two attempts to reach the registry, in seconds."""
_NOT_INSTALLED: Final = f"BRIDGE_KAFKA__REGISTRY__URL: needs the extra `registry`; {installation_of('registry')}"


def encoding_of(settings: Kafka) -> Encoding:
    """Return the encoding for the settings. With a registry, the encoding can also read values of the other formats.

    Raises:
        SettingsError: the settings name a registry, and the extra `registry` is not installed.
    """
    if settings.registry.url is None:
        return JSON
    registry, reader = parts(settings)
    return PlainJson(reader.json_of) if settings.format == "json" else RegistryEncoding(settings, registry, reader)


def parts(settings: Kafka) -> tuple[SchemaRegistry, Reader]:
    """Return a client of the registry, and a reader that uses the client.

    Raises:
        SettingsError: the extra `registry` is not installed.
    """
    try:
        from bridge.registry.client import SchemaRegistry  # noqa: PLC0415 -- needs the extra
        from bridge.registry.reading import Reader  # noqa: PLC0415
    except ModuleNotFoundError:
        raise SettingsError([_NOT_INSTALLED]) from None
    registry = SchemaRegistry(settings.registry)
    return registry, Reader(registry)


class RegistryEncoding:
    """The `Encoding` for the formats with a registry. After `run` has the schema ids, writing needs no registry."""

    def __init__(self, settings: Kafka, registry: SchemaRegistry, reader: Reader) -> None:
        self._subjects = subjects(settings)
        self._registry = registry
        self._reader = reader
        self._forms: dict[str, Form] = {}
        self._complete = asyncio.Event()
        self.missing: str | None = "the schema registry has not answered yet"

    async def run(self) -> None:
        """See `Encoding.run`."""
        backoff = Backoff(first=0.2, cap=PATIENCE)
        logged: str | None = None
        while not self._complete.is_set():
            try:
                ids = {subject.name: await self._take(subject) for subject in self._subjects}
            except RegistryUnavailable as error:
                self.missing = str(error)
                if self.missing != logged:
                    logged = self.missing
                    log.warning("schema-registry-unavailable", reason=logged)
                await asyncio.sleep(backoff.next_delay())
            else:
                self.missing = None
                self._complete.set()
                log.info("schemas-known", ids=ids)

    async def ready(self) -> None:
        """See `Encoding.ready`."""
        await self._complete.wait()

    def form(self, schema: str) -> Form:
        """See `Encoding.form`."""
        if self.missing is not None:
            raise RegistryUnavailable(f"Values can't be written yet: {self.missing}")
        return self._forms[schema]

    async def json_of(self, value: bytes) -> bytes:
        """See `Encoding.json_of`."""
        return await self._reader.json_of(value)

    async def _take(self, subject: Subject) -> int:
        """Get the schema id of one kind and prepare the writer of its values. Return the id."""
        id_ = await self._registry.id_of(subject)
        frame = b"\0" + id_.to_bytes(FRAME_BYTES - 1, "big")
        json_schema = subject.kind.schema
        if subject.schema_type == "AVRO":
            from bridge.registry.avro import avro_writer  # noqa: PLC0415 -- its tables take 0.7 MB

            self._reader.learn(id_, subject.schema)
            encode = avro_writer(msgspec.json.decode(subject.schema), subject.kind.struct, frame)
            self._forms[json_schema] = Form(encode, avro_schema_id(json_schema), AVRO)
        else:
            self._forms[json_schema] = Form(_framed(frame), json_schema, CONTENT_TYPE)
        return id_


def avro_schema_id(json_schema: str) -> str:
    """Return the `ce_dataschema` header of Avro values whose JSON Schema has this `$id`.

    The header identifies the `.avsc` file in `schemas/` that corresponds to the JSON Schema.
    """
    return json_schema.replace(":schema:", ":avro:")


def _framed(frame: bytes) -> Encode:
    encode = msgspec.json.Encoder().encode

    def write(value: msgspec.Struct) -> bytes:
        return frame + encode(value)

    return write
