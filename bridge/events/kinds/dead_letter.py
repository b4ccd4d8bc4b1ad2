"""The dead letter: an event about a record that Kafka refused, or about a request that the bridge refused."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from bridge.events.cloudevent import HeaderTemplate, account_of
from bridge.events.encoding import JSON, Encoding
from bridge.events.fields import Account, Count, Int64, Time
from bridge.events.record import Record
from bridge.events.times import rfc3339

TOPIC = "dead-letters.v1"
TYPE = "gws.dead-letter.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:dead-letter:v1"

Reason: TypeAlias = Literal["too-large", "refused"]

MAX_KEY_BYTES = 1024
"""Most bytes of a dead letter's key. The refused record may have been too large because of its key."""
START_CHARACTERS = 1024
_MAX_UTF8_BYTES = 4


class DeadLetter(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """Describes a record that Kafka refused for its content or size, or a request that the bridge refused.

    With its fields people can find the event upstream, or the request on its topic.
    """

    reason: Annotated[
        Reason,
        Meta(
            description="too-large: larger than the topic or the broker allows; refused: any other fault of the "
            "record, and every refused request (see `problem`)."
        ),
    ]
    topic: Annotated[str, Meta(description="Topic of the refused record, without the prefix.")]
    size: Annotated[Count, Meta(description="Bytes of the refused record's key and value.")]
    sha256: Annotated[
        str, Meta(description="SHA-256 of the refused record's value, in hexadecimal.", pattern="^[0-9a-f]{64}$")
    ]
    start: Annotated[
        str,
        Meta(description="The first 1,024 characters of the refused record's value.", max_length=START_CHARACTERS),
    ]
    event_type: Annotated[str | None, Meta(description="The `ce_type` of the refused record.")]
    event_id: Annotated[str | None, Meta(description="The `ce_id` of the refused record.")]
    account: Account | None
    received_at: Annotated[Time, Meta(description="When the record was refused, RFC 3339, UTC, milliseconds.")]
    problem: Annotated[
        str | None,
        Meta(
            description="Why the bridge refused a request of `requests.v1`, as a stable word; null for other records.",
            examples=["invalid-request"],
            extra_json_schema={"default": None},
        ),
    ] = None
    detail: Annotated[
        str | None,
        Meta(
            description="The fault of a refused request in words for people; null for other records.",
            examples=["campaignName: Field required"],
            extra_json_schema={"default": None},
        ),
    ] = None
    partition: Annotated[
        Int64 | None,
        Meta(
            description="Partition of a refused request; null for other records.", extra_json_schema={"default": None}
        ),
    ] = None
    offset: Annotated[
        Int64 | None,
        Meta(description="Offset of a refused request; null for other records.", extra_json_schema={"default": None}),
    ] = None


def dead_letter(record: Record, reason: Reason, *, at: float, encoding: Encoding = JSON) -> Record:
    """Make the dead letter for a refused record. A retry for the same record has the same `ce_id`.

    Args:
        record: the record that Kafka refused.
        reason: `too-large`, or `refused` for any other fault of the record.
        at: when Kafka refused the record, in seconds since the epoch.
        encoding: the encoding of the dead letter's value.
    """
    return _letter(record, reason, at=at, encoding=encoding)


def refused_request(
    record: Record,
    problem: str,
    detail: str,
    *,
    start: str,
    place: tuple[int, int],
    at: float,
    encoding: Encoding = JSON,
) -> Record:
    """Make the dead letter for a request that the bridge refused. A retry for the same record has the same `ce_id`.

    Args:
        record: the request's record, with only those headers that may be published.
        problem: why the bridge refused it, as a stable word.
        detail: the fault in words. It must not quote the request, which may contain phone numbers.
        start: the start of the value in the form that may be published.
        place: the record's partition and offset.
        at: when the bridge refused it, in seconds since the epoch.
        encoding: the encoding of the dead letter's value.
    """
    partition, offset = place
    told: dict[str, Any] = {"start": start[:START_CHARACTERS], "problem": problem, "detail": detail}
    told |= {"partition": partition, "offset": offset}
    return _letter(record, "refused", at=at, encoding=encoding, id_=f"{record.topic}-{partition}-{offset}", **told)


def _letter(
    record: Record, reason: Reason, *, at: float, encoding: Encoding, id_: str | None = None, **told: Any
) -> Record:
    """Make a dead letter. `id_` is the refused record's id, by default its `ce_id`. `told` has further fields."""
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    digest = hashlib.sha256(record.value).hexdigest()
    account = account_of(headers.get("ce_source", ""))
    received_at = rfc3339(at)
    start = record.value[: START_CHARACTERS * _MAX_UTF8_BYTES].decode(errors="replace")[:START_CHARACTERS]
    value = DeadLetter(
        reason=reason,
        topic=record.topic,
        size=len(record.key) + len(record.value),
        sha256=digest,
        event_type=headers.get("ce_type"),
        event_id=headers.get("ce_id"),
        account=account,
        received_at=received_at,
        **({"start": start} | told),
    )
    key = record.key[:MAX_KEY_BYTES].decode(errors="ignore").encode()
    letter_id = f"{id_ or headers.get('ce_id', digest)}-dead-letter".encode()
    sequence = headers.get("ce_sequence")
    form = encoding.form(SCHEMA)
    template = HeaderTemplate(TYPE, form.schema, account or "", received_at, form.content_type)
    return Record(
        TOPIC,
        key,
        form.encode(value),
        template.headers(
            letter_id,
            key,
            sequence=None if sequence is None else sequence.encode(),
            traceparent=headers.get("traceparent"),
        ),
    )
