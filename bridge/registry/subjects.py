"""Names the subject of each kind's schema, and the compatibility level that its later versions must keep.

Source: Confluent Schema Registry, "Subject name strategy" and "Schema evolution and compatibility".
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from bridge.delivery import topic_name
from bridge.events import KINDS, avro_schema_files, schema_files

if TYPE_CHECKING:
    from bridge.events import Kind
    from bridge.settings import Kafka


class Found(Enum):
    """How a schema stands with its subject."""

    THERE = "there"
    MISSING = "missing"
    """It could be registered."""
    INCOMPATIBLE = "incompatible"
    """It breaks with what is there."""


class Subject(NamedTuple):
    """One kind's place in the registry."""

    name: str
    kind: Kind
    schema: str
    """Its text."""
    schema_type: Literal["AVRO", "JSON"]
    compatibility: str
    """The strictest level that lets the contract grow. FULL for JSON would let nothing be added: the models are closed,
    so older ones refuse what they don't know."""


def subjects(settings: Kafka) -> list[Subject]:
    """Return the subjects of all kinds, for a format that has any."""
    avro = settings.format == "avro-registry"
    texts = avro_schema_files() if avro else schema_files()
    return [
        Subject(
            _name(settings, kind, texts[kind.schema]),
            kind,
            texts[kind.schema],
            "AVRO" if avro else "JSON",
            "FULL_TRANSITIVE" if avro else "BACKWARD_TRANSITIVE",
        )
        for kind in KINDS
    ]


def _name(settings: Kafka, kind: Kind, text: str) -> str:
    if settings.registry.subject_naming == "topic":
        return f"{topic_name(settings, kind.topic)}-value"
    schema = msgspec.json.decode(text)
    return schema["title"] if "title" in schema else f"{schema['namespace']}.{schema['name']}"
