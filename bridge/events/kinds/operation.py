"""The life of a forwarded operation: one event each time that its status changes."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from bridge.events.cloudevent import HeaderTemplate
from bridge.events.encoding import JSON, Encoding
from bridge.events.fields import Account, Count, Int64, JsonObject, Time
from bridge.events.record import Record

TOPIC = "operations.v1"
TYPE = "gws.operation.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:operation:v1"
SIGNATURE = "bridge-signature"
"""The header with the signature of the account's bridge."""

Status: TypeAlias = Literal["requested", "accepted", "rejected", "acknowledged", "timed-out"]


class Upstream(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """What Web Services answered to the REST call."""

    http_status: Annotated[int | None, Meta(description="HTTP status; null where no answer came.")]
    status_code: Annotated[
        int | None, Meta(description="Web Services' statusCode: 0 is accepted; null where the answer had none.")
    ]
    status_message: Annotated[
        str | None,
        Meta(description="Web Services' free text; may quote device numbers.", examples=["Device is not registered"]),
    ]


class Operation(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """The life of a forwarded operation: one event each time that its status changes.

    The newest event of a key tells where the operation stands.
    """

    reference_id: Annotated[str, Meta(description="The operation's reference: the caller's, else the bridge's own.")]
    operation: Annotated[str, Meta(description="The `operationName`, for example `DoNotCallRecord`.")]
    status: Annotated[
        Status,
        Meta(
            description="requested: about to be forwarded; accepted: Web Services answered statusCode 0, the outcome "
            "is to come; rejected: it said no, or was never reached (no statusCode); acknowledged: the "
            "acknowledgement came, late or not; timed-out: none came in time."
        ),
    ]
    at: Annotated[Time, Meta(description="When the operation came to this status, RFC 3339, UTC, milliseconds.")]
    account: Account
    received_at: Annotated[
        Time,
        Meta(
            description="When the bridge received the REST call, RFC 3339, UTC: the same in all events of one "
            "operation."
        ),
    ]
    requested_by: Annotated[
        str | None,
        Meta(description="Who called the bridge, as its authentication knows the caller.", examples=["crm"]),
    ]
    record_handle: Annotated[
        Int64 | None,
        Meta(description="Handle of the record; null where the record is named by phone number."),
    ]
    request: Annotated[
        JsonObject,
        Meta(
            description="The body that the caller sent; may hold a phone number. Of a body of more than 4096 bytes "
            "only `requested` events have all members; other events may leave out large ones."
        ),
    ]
    upstream: Annotated[
        Upstream | None,
        Meta(description="What Web Services answered to the REST call; null before it did."),
    ] = None
    acknowledgement_id: Annotated[str | None, Meta(description="`ce_id` of the acknowledgement event.")] = None
    acknowledgement_key: Annotated[
        str | None, Meta(description="Key of the acknowledgement event, which tells its partition.")
    ] = None
    acknowledgement_topic: Annotated[
        str | None,
        Meta(
            description="Topic of the acknowledgement event, without the prefix; null: `acknowledgements.v1`. It is "
            "`dead-letters.v1` where Kafka refused the acknowledgement: `acknowledgementId` and `acknowledgementKey` "
            "are those of its dead letter then.",
            examples=["dead-letters.v1"],
            extra_json_schema={"default": None},
        ),
    ] = None
    late: Annotated[
        bool,
        Meta(description="Whether the acknowledgement came after the operation had been given up as timed out."),
    ] = False
    user_event_id: Annotated[
        str | None,
        Meta(
            description="`ce_id` of the record's user event, where one came before any acknowledgement.",
            examples=["5f1d7a84db00d2fc-16"],
        ),
    ] = None
    latency_ms: Annotated[
        Count | None, Meta(description="Milliseconds from the forwarding to the acknowledgement.")
    ] = None
    asynchronous: Annotated[
        bool,
        Meta(
            description="Whether the caller did not wait (`Prefer: respond-async`): then the bridge forwards it again "
            "after a crash."
        ),
    ] = False
    attempt: Annotated[
        int,
        Meta(description="How many times the operation has been, or may have been, sent to Web Services.", ge=1),
    ] = 1
    sealed_request: Annotated[
        str | None,
        Meta(
            description="The whole request, encrypted, for the bridge itself after a crash; null where `request` is "
            "whole (privacy.phone_numbers = plain).",
            extra_json_schema={"default": None},
        ),
    ] = None


def operation_record(operation: Operation, *, traceparent: str | None = None, encoding: Encoding = JSON) -> Record:
    """Make the record of an operation's event; a second try of the same event has the same id."""
    key = operation.reference_id.encode()
    form = encoding.form(SCHEMA)
    template = HeaderTemplate(TYPE, form.schema, operation.account, operation.at, form.content_type)
    id_ = f"{operation.reference_id}-{operation.status}-{operation.at}".encode()
    return Record(TOPIC, key, form.encode(operation), template.headers(id_, key, traceparent=traceparent))
