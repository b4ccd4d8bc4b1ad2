"""Avro as the bridge writes and reads it, against fastavro."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given

from bridge.events import KINDS, Acknowledgement, Kind, avro_schema_files
from bridge.registry.avro import avro_writer
from bridge.registry.reading import MOST_SCHEMAS, Reader
from tests.unit.test_schemas import structs

FRAME = b"\0\0\0\1\2"
ID = 258


class Asked:
    """A registry with these schemas, which counts the questions."""

    def __init__(self, schemas: dict[int, str]) -> None:
        self.schemas = schemas
        self.questions = 0

    async def avro_schema(self, id_: int) -> str | None:
        self.questions += 1
        return self.schemas.get(id_)


def reader(schemas: dict[int, str]) -> tuple[Reader, Asked]:
    registry = Asked(schemas)
    return Reader(registry), registry  # type: ignore[arg-type]


def schema_of(kind: Kind) -> Any:
    return msgspec.json.decode(avro_schema_files()[kind.schema])


def by_fastavro(value: msgspec.Struct, schema: Any) -> bytes:
    content = msgspec.to_builtins(value, builtin_types=(msgspec.Raw,))
    plain = {name: bytes(one).decode() if isinstance(one, msgspec.Raw) else one for name, one in content.items()}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, plain)
    return out.getvalue()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_every_value_is_written_as_fastavro_writes_it(kind: Kind) -> None:
    """Whatever a struct can hold becomes the very bytes that fastavro makes of it, and reads back as the same JSON."""
    schema = fastavro.parse_schema(schema_of(kind))
    write = avro_writer(schema_of(kind), kind.struct, FRAME)
    read, _ = reader({ID: avro_schema_files()[kind.schema]})
    written: list[tuple[bytes, msgspec.Struct]] = []

    @given(structs(kind.struct))
    def check(value: msgspec.Struct) -> None:
        framed = write(value)
        assert framed == FRAME + by_fastavro(value, schema)
        written.append((framed, value))

    check()
    for framed, value in written:
        assert msgspec.json.decode(await read.json_of(framed), type=kind.struct) == value


@pytest.mark.parametrize("size", [63, 64, 4095, 4096, 8191, 8192, 200_000])
def test_long_texts_keep_their_length(size: int) -> None:
    """A text of every length is written whole, however many bytes its length takes."""
    [kind] = [kind for kind in KINDS if kind.struct is Acknowledgement]
    text = "\u20ac" * size
    fields: dict[str, Any] = dict.fromkeys(Acknowledgement.__struct_fields__, text)
    fields |= {"record_handle": size, "application_id": -size}
    value = Acknowledgement(**fields | {"original": msgspec.Raw(msgspec.json.encode(text))})
    schema = fastavro.parse_schema(schema_of(kind))
    assert avro_writer(schema_of(kind), Acknowledgement)(value) == by_fastavro(value, schema)


def test_a_schema_that_does_not_fit_is_refused() -> None:
    """A schema with other fields than the struct, or with a shape that the writer does not know, is no silent fault."""
    [kind] = [kind for kind in KINDS if kind.struct is Acknowledgement]
    schema = schema_of(kind)
    with pytest.raises(ValueError, match="different fields"):
        avro_writer(schema | {"fields": schema["fields"][1:]}, Acknowledgement)
    with pytest.raises(ValueError, match="can't write this Avro type"):
        avro_writer(
            schema | {"fields": [{**schema["fields"][0], "type": "double"}, *schema["fields"][1:]]}, Acknowledgement
        )


async def test_a_schema_is_asked_for_once() -> None:
    """The reader asks the registry once for each id, also for one that it does not know."""
    [kind] = [kind for kind in KINDS if kind.name == "session"]
    value = kind.struct(
        **dict.fromkeys(kind.struct.__struct_fields__, None)
        | {"change": "opened", "account": "a", "session": "s", "received_at": "t"}
    )
    framed = avro_writer(schema_of(kind), kind.struct, FRAME)(value)
    read, registry = reader({ID: avro_schema_files()[kind.schema]})
    unknown = b"\0\0\0\0\7\2\2a"
    for _ in range(3):
        assert msgspec.json.decode(await read.json_of(framed))["change"] == "opened"
        assert await read.json_of(unknown) == unknown
    assert registry.questions == 2


@pytest.mark.parametrize("value", [b'{"a":1}', b'\0\0\0\0\1{"a":1}'])
async def test_json_is_read_without_the_registry(value: bytes) -> None:
    """Plain and framed JSON need no schema."""
    read, registry = reader({})
    assert await read.json_of(value) == b'{"a":1}'
    assert registry.questions == 0


@pytest.mark.parametrize("value", [b"", b"\0", b"text", FRAME + b"\xff"])
async def test_what_is_none_of_it_comes_back(value: bytes) -> None:
    """What is in no known format, or breaks off, comes back as it is."""
    read, _ = reader({ID: avro_schema_files()[KINDS[0].schema]})
    assert await read.json_of(value) == value


async def test_a_writer_of_a_topic_cannot_grow_the_cache() -> None:
    """However many ids values name, a bounded number of schemas is kept: the ones in use, and the newest."""
    read, asked = reader({1: '"string"'})

    async def questions_about(id_: int) -> int:
        before = asked.questions
        await read.json_of(b"\x00" + id_.to_bytes(4, "big") + b"\x02x")
        return asked.questions - before

    assert await questions_about(1) == 1
    for id_ in range(2, 3 * MOST_SCHEMAS):
        assert await questions_about(id_) == 1
        assert await questions_about(1) == 0
    oldest_kept = 3 * MOST_SCHEMAS - (MOST_SCHEMAS - 1)
    assert sum([await questions_about(id_) for id_ in range(oldest_kept, 3 * MOST_SCHEMAS)]) == 0
    assert await questions_about(oldest_kept - 1) == 1


@pytest.mark.parametrize("schema", ["no JSON", '{"type": "unheard"}', "[" * 100_000, "17"])
async def test_a_schema_that_is_none_harms_nobody(schema: str) -> None:
    """What another application registered as a schema and can't be one leaves the value as it came."""
    value = b"\x00\x00\x00\x00\x07\x02x"
    assert await reader({7: schema})[0].json_of(value) == value
