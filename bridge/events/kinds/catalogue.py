"""The kinds of events that are published: what generates, documents or checks the contract walks over these."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bridge.events.kinds import acknowledgement, operation, session, unrecognized, user_event
from bridge.events.kinds.dead_letter import SCHEMA as DEAD_LETTER_SCHEMA
from bridge.events.kinds.dead_letter import TOPIC as DEAD_LETTER_TOPIC
from bridge.events.kinds.dead_letter import TYPE as DEAD_LETTER_TYPE
from bridge.events.kinds.dead_letter import DeadLetter

SCHEMA_PREFIX: Final = "urn:cometd-kafka-bridge:schema:"
RECORD_KEY: Final = (
    "`<applicationId>/<campaignName>/<recordHandle>`, without a handle `<applicationId>/<campaignName>/<phoneNumber>`"
)
"""What the record key is, for a reader; `keys.record_key` makes it."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of event, in one version."""

    topic: str
    """The topic's name without the prefix (`acknowledgements.v1`)."""
    event_type: str
    """`ce_type`."""
    schema: str
    """`ce_dataschema`: the `$id` of the value's JSON Schema."""
    struct: type[msgspec.Struct]
    """The struct whose fields are the value's."""
    key: str
    """What the record's key is, for a reader."""
    sequenced: Literal["always", "as-refused"] | None = None
    """Which of its events have the header `ce_sequence`: all, those whose refused record had it, or (None) none."""

    @property
    def name(self) -> str:
        """The kind's name, as in `acknowledgement`."""
        return self.schema.removeprefix(SCHEMA_PREFIX).partition(":")[0]

    @property
    def version(self) -> str:
        """The version of its contract, as in `v1`."""
        return self.schema.rpartition(":")[2]

    @property
    def path(self) -> str:
        """Where its schemas lie, without the suffix: `acknowledgement/v1`."""
        return f"{self.name}/{self.version}"


KINDS: Final = (
    Kind(
        topic=acknowledgement.TOPIC,
        event_type=acknowledgement.TYPE,
        schema=acknowledgement.SCHEMA,
        struct=acknowledgement.Acknowledgement,
        key="the record key; where no record is named `<applicationId>/<campaignName>/`; else the account",
        sequenced="always",
    ),
    Kind(
        topic=user_event.TOPIC,
        event_type=user_event.TYPE,
        schema=user_event.SCHEMA,
        struct=user_event.UserEvent,
        key="the record key; where no record is named the deviceId; else the account",
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
        key="the refused record's own, at most 1,024 bytes of it",
        sequenced="as-refused",
    ),
)
"""Every kind, in the order in which the documentation tells of them."""
