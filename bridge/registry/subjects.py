"""Lists the registry's subjects: one for each kind of event, with its schema and its compatibility level.

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
    """The result of looking for a schema in its subject."""

    THERE = "there"
    MISSING = "missing"
    """The schema is missing and could be registered."""
    INCOMPATIBLE = "incompatible"
    """The schema is missing and is incompatible with the schemas that the subject has."""


class Subject(NamedTuple):
    """The subject (the name in the registry) for the schema of one kind of event."""

    name: str
    kind: Kind
    schema: str
    """The text of the schema."""
    schema_type: Literal["AVRO", "JSON"]
    compatibility: str
    """The strictest level at which a later version may still add fields. For JSON, the level FULL would forbid new
    fields, because the bridge's JSON Schemas allow no unknown fields: a value with a new field does not fit the older
    schema."""


def subjects(settings: Kafka) -> list[Subject]:
    """Return the subjects of all kinds of events. The format in the settings must be one that uses a registry."""
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
