"""The encoding of events' values, which the settings choose: plain JSON, or a format of the schema registry.

A registry format begins with a frame: a zero byte and the schema's id (4 bytes, big-endian). Source: Confluent Schema
Registry's wire format. confluent-kafka could write the frame, but is slower (docs/decisions/0009-avro-writer.md).
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
    """The encoder and the headers for the values of one kind."""

    encode: Encode
    schema: str
    """The `ce_dataschema`."""
    content_type: str


class Encoding(Protocol):
    """Encodes and decodes the values of all kinds of events."""

    @property
    def missing(self) -> str | None:
        """Why values can't be encoded yet, None once they can be encoded."""

    async def run(self) -> None:
        """Fetch everything that encoding needs, and retry until that works."""

    async def ready(self) -> None:
        """Return once values can be encoded."""

    def form(self, schema: str) -> Form:
        """Return the encoder and the headers for values whose JSON Schema has this `$id`.

        Raises:
            RegistryUnavailable: values can't be encoded yet.
        """
        ...

    async def json_of(self, value: bytes) -> bytes:
        """Return a value of any format as JSON. A value of an unknown format is returned unchanged.

        Raises:
            RegistryUnavailable: the registry can't supply the value's schema now.
        """
        ...


async def unframed(value: bytes) -> bytes:
    """Return a JSON value without its frame, if it has one. Any other value is returned unchanged.

    The first byte of the bridge's Avro values is even (the index of a union or the length of a string). The byte `{` is
    odd, so an Avro value never looks like JSON here.
    """
    framed = value[:1] == _FRAME_START and value[FRAME_BYTES : FRAME_BYTES + 1] == _JSON_START
    return value[FRAME_BYTES:] if framed else value


class PlainJson:
    """The `Encoding` for plain JSON, which needs no registry.

    `read` implements `json_of`. Pass another `read` for topics with values of other formats.
    """

    missing: str | None = None

    def __init__(self, read: Callable[[bytes], Awaitable[bytes]] = unframed) -> None:
        self._read = read
        self._encode: Encode = msgspec.json.Encoder().encode

    async def run(self) -> None:
        """Do nothing, because plain JSON needs no preparation."""

    async def ready(self) -> None:
        """Return at once."""

    def form(self, schema: str) -> Form:
        """See `Encoding.form`."""
        return Form(self._encode, schema, CONTENT_TYPE)

    async def json_of(self, value: bytes) -> bytes:
        """See `Encoding.json_of`."""
        return await self._read(value)


JSON: Final = PlainJson()
