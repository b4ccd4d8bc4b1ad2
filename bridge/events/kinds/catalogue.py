"""The table of all kinds of events. Schemas, documentation and checks are generated from this table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from bridge.events.kinds import (
    acknowledgement,
    dead_letter,
    operation,
    request,
    session,
    unrecognized,
    user_event,
)

if TYPE_CHECKING:
    from types import ModuleType

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
    """Which events have a header `ce_sequence`: all, only dead letters whose refused record had it, or none (None)."""

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


def _kind(
    module: ModuleType,
    struct: type[msgspec.Struct],
    key: str,
    sequenced: Literal["always", "as-refused"] | None = None,
) -> Kind:
    """Return the kind that a module defines."""
    return Kind(
        topic=module.TOPIC,
        event_type=module.TYPE,
        schema=module.SCHEMA,
        struct=struct,
        key=key,
        sequenced=sequenced,
    )


KINDS: Final = (
    _kind(
        acknowledgement,
        acknowledgement.Acknowledgement,
        "the record key, or `<applicationId>/<campaignName>/` if there is no record, or else the account",
        "always",
    ),
    _kind(
        user_event,
        user_event.UserEvent,
        "the record key, or the deviceId if there is no record, or else the account",
        "always",
    ),
    _kind(operation, operation.Operation, "the referenceId"),
    _kind(session, session.Session, "the account"),
    _kind(unrecognized, unrecognized.Unrecognized, "the account", "always"),
    _kind(dead_letter, dead_letter.DeadLetter, "the refused record's key, cut to 1,024 bytes", "as-refused"),
)
"""Every kind of published event, in the order of the documentation."""

REQUEST: Final = _kind(request, request.Request, "the referenceId")
"""The kind of record that the bridge reads, and that other programs write."""

CONTRACT_KINDS: Final = (*KINDS, REQUEST)
"""Every kind of record that has a schema."""


def full_topic(prefix: str, topic: str) -> str:
    """Return the name of a topic in Kafka. `topic` is the name without the prefix."""
    return f"{prefix}.{topic}"
