"""How the values of events become bytes, and bytes become values again: chosen once, at the start.

Source of the frame: Confluent Schema Registry's wire format, a zero byte and the schema's id (4 bytes, big-endian).
confluent-kafka writes it too, but it is a second Kafka client, and slower (docs/decisions/0009-avro-writer.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from bridge.events.cloudevent import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable

Encode: TypeAlias = Callable[[msgspec.Struct], bytes]

FRAME_BYTES: Final = 5
_FRAME_START: Final = b"\0"
_JSON_START: Final = b"{"


class Form(NamedTuple):
    """How the values of one kind are written."""

    encode: Encode
    schema: str
    """`ce_dataschema`."""
    content_type: str


class Encoding(Protocol):
    """How the values of all kinds are written and read."""

    @property
    def missing(self) -> str | None:
        """Why values can't be written now; None when they can. Once they can, they always can."""

    async def run(self) -> None:
        """Get what is needed for writing, however long that takes."""

    async def ready(self) -> None:
        """Return once values can be written."""

    def form(self, schema: str) -> Form:
        """Tell how values are written whose JSON Schema has that `$id`.

        Raises:
            RegistryUnavailable: they can't be written yet.
        """
        ...

    async def json_of(self, value: bytes) -> bytes:
        """Return the JSON of a value in any of the formats; one of unknown form comes back as it is.

        Raises:
            RegistryUnavailable: its schema is needed, and can't be had now.
        """
        ...


async def unframed(value: bytes) -> bytes:
    """Return a JSON value without the frame, where it has one.

    No Avro value of the bridge is mistaken for JSON: it begins with a union's index or a string's length, which Avro
    writes as even numbers, and `{` is an odd one.
    """
    framed = value[:1] == _FRAME_START and value[FRAME_BYTES : FRAME_BYTES + 1] == _JSON_START
    return value[FRAME_BYTES:] if framed else value


class PlainJson:
    """The `Encoding` that writes plain JSON and needs no registry.

    `read` does the work of `json_of`; pass one for topics that also hold older formats.
    """

    missing: str | None = None

    def __init__(self, read: Callable[[bytes], Awaitable[bytes]] = unframed) -> None:
        self._read = read
        self._encode: Encode = msgspec.json.Encoder().encode

    async def run(self) -> None:
        """Nothing is needed."""

    async def ready(self) -> None:
        """At once."""

    def form(self, schema: str) -> Form:
        """See `Encoding.form`."""
        return Form(self._encode, schema, CONTENT_TYPE)

    async def json_of(self, value: bytes) -> bytes:
        """See `Encoding.json_of`."""
        return await self._read(value)


JSON: Final = PlainJson()
