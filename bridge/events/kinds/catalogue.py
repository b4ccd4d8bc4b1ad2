"""The table of all kinds of events. Schemas, documentation and checks are generated from this table."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bridge.events.kinds import acknowledgement, operation, request, session, unrecognized, user_event
from bridge.events.kinds.dead_letter import SCHEMA as DEAD_LETTER_SCHEMA
from bridge.events.kinds.dead_letter import TOPIC as DEAD_LETTER_TOPIC
from bridge.events.kinds.dead_letter import TYPE as DEAD_LETTER_TYPE
from bridge.events.kinds.dead_letter import DeadLetter

SCHEMA_PREFIX: Final = "urn:cometd-kafka-bridge:schema:"
RECORD_KEY: Final = (
    "`<applicationId>/<campaignName>/<recordHandle>`, without a handle `<applicationId>/<campaignName>/<phoneNumber>`"
)
"""A description of the record key for documentation. `keys.record_key` makes the key."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of event, in one version."""

    topic: str
    """The topic's name without the prefix (`acknowledgements.v1`)."""
    event_type: str
    """The `ce_type`."""
    schema: str
    """The `ce_dataschema`, which is the `$id` of the value's JSON Schema."""
    struct: type[msgspec.Struct]
    """The struct of the value."""
    key: str
    """A description of the record's key, for documentation."""
    sequenced: Literal["always", "as-refused"] | None = None
    """The events with a header `ce_sequence`: all, dead letters whose refused record had the header, or (None) none."""

    @property
    def name(self) -> str:
        """The kind's name, such as `acknowledgement`."""
        return self.schema.removeprefix(SCHEMA_PREFIX).partition(":")[0]

    @property
    def version(self) -> str:
        """The schema's version, such as `v1`."""
        return self.schema.rpartition(":")[2]

    @property
    def path(self) -> str:
        """Path of the schema files without the suffix, such as `acknowledgement/v1`."""
        return f"{self.name}/{self.version}"


KINDS: Final = (
    Kind(
        topic=acknowledgement.TOPIC,
        event_type=acknowledgement.TYPE,
        schema=acknowledgement.SCHEMA,
        struct=acknowledgement.Acknowledgement,
        key="the record key, or `<applicationId>/<campaignName>/` if there is no record, or else the account",
        sequenced="always",
    ),
    Kind(
        topic=user_event.TOPIC,
        event_type=user_event.TYPE,
        schema=user_event.SCHEMA,
        struct=user_event.UserEvent,
        key="the record key, or the deviceId if there is no record, or else the account",
        sequenced="always",
    ),
    Kind(
        topic=operation.TOPIC,
        event_type=operation.TYPE,
        schema=operation.SCHEMA,
        struct=operation.Operation,
        key="the referenceId",
    ),
    Kind(
        topic=session.TOPIC,
        event_type=session.TYPE,
        schema=session.SCHEMA,
        struct=session.Session,
        key="the account",
    ),
    Kind(
        topic=unrecognized.TOPIC,
        event_type=unrecognized.TYPE,
        schema=unrecognized.SCHEMA,
        struct=unrecognized.Unrecognized,
        key="the account",
        sequenced="always",
    ),
    Kind(
        topic=DEAD_LETTER_TOPIC,
        event_type=DEAD_LETTER_TYPE,
        schema=DEAD_LETTER_SCHEMA,
        struct=DeadLetter,
        key="the refused record's key, cut to 1,024 bytes",
        sequenced="as-refused",
    ),
)
"""Every kind of published event, in the order of the documentation."""

REQUEST: Final = Kind(
    topic=request.TOPIC,
    event_type=request.TYPE,
    schema=request.SCHEMA,
    struct=request.Request,
    key="the referenceId",
)
"""The kind of record that the bridge reads, and that other programs write."""

CONTRACT_KINDS: Final = (*KINDS, REQUEST)
"""Every kind of record that has a schema."""


def full_topic(prefix: str, topic: str) -> str:
    """Return the name of a topic in Kafka. `topic` is the name without the prefix."""
    return f"{prefix}.{topic}"
