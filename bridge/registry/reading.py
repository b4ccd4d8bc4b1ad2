"""Reads values of every format, because a topic may contain values from before a change of the setting `format`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import fastavro
import msgspec

from bridge.events import FRAME_BYTES, KINDS, unframed

if TYPE_CHECKING:
    from bridge.registry.client import SchemaRegistry

_FRAME_START: Final = 0
_UNASKED: Final = object()
MOST_SCHEMAS: Final = 256
"""Maximum number of cached schemas, because any program that writes to the topic could invent ids."""


class Reader:
    """Converts values to JSON, and caches the schemas of these values."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._schemas: dict[int, Any] = {}
        """Parsed schemas by id, the most recently used last. None: the registry has no usable Avro schema of the id."""

    def learn(self, id_: int, schema: str) -> None:
        """Put a schema into the cache, so that the reader need not ask the registry for the schema."""
        self._keep(id_, fastavro.parse_schema(msgspec.json.decode(schema)))

    def _keep(self, id_: int, schema: Any) -> None:
        self._schemas[id_] = schema
        if len(self._schemas) > MOST_SCHEMAS:
            del self._schemas[next(iter(self._schemas))]

    async def json_of(self, value: bytes) -> bytes:
        """See `Encoding.json_of`."""
        plain = await unframed(value)
        if plain is not value or len(value) < FRAME_BYTES or value[0] != _FRAME_START:
            return plain
        id_ = int.from_bytes(value[1:FRAME_BYTES], "big")
        schema = self._schemas.pop(id_, _UNASKED)
        if schema is _UNASKED:
            schema = _parsed(await self._registry.avro_schema(id_))
        self._keep(id_, schema)
        if schema is None:
            return value
        try:
            content: Any = fastavro.schemaless_reader(io.BytesIO(value[FRAME_BYTES:]), schema, None)
            for name in _JSON_TEXTS & content.keys():
                content[name] = msgspec.Raw(content[name].encode())
            return msgspec.json.encode(content)
        except Exception:  # noqa: BLE001 -- no value of this schema; fastavro may raise any error
            return value


def _parsed(schema: str | None) -> Any:
    """Return a schema in the form that fastavro needs, or None if `schema` is None or not a valid Avro schema."""
    if schema is None:
        return None
    try:
        return fastavro.parse_schema(msgspec.json.decode(schema))
    except Exception:  # noqa: BLE001 -- a foreign schema may be invalid; fastavro may raise any error
        return None


_JSON_TEXTS: Final = frozenset(
    encoded
    for kind in KINDS
    for name, encoded in zip(kind.struct.__struct_fields__, kind.struct.__struct_encode_fields__, strict=True)
    if get_type_hints(kind.struct)[name] is msgspec.Raw
)
"""Names of the fields that contain a JSON text. In Avro these fields are strings."""
