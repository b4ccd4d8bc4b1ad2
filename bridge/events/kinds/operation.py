"""The operation event: one event for each change of a forwarded operation's status."""

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
"""Name of the header with the signature of the account's bridge."""
PROCESS = "bridge-process"
"""Name of the header with the random name of the writing process. Only a fleet's `requested` events have it."""

Status: TypeAlias = Literal["requested", "accepted", "rejected", "acknowledged", "timed-out"]


class Upstream(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The reply of Web Services to the REST call."""

    http_status: Annotated[int | None, Meta(description="HTTP status; null if there was no reply.")]
    status_code: Annotated[
        int | None, Meta(description="Web Services' statusCode, 0 for accepted; null if the reply had none.")
    ]
    status_message: Annotated[
        str | None,
        Meta(description="Web Services' message; may quote device numbers.", examples=["Device is not registered"]),
    ]


class Operation(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """The state of a forwarded operation. There is one event for each change of its status.

    The newest event of a key has the current state.
    """

    reference_id: Annotated[
        str, Meta(description="Reference of the operation, from the caller or else from the bridge.")
    ]
    operation: Annotated[str, Meta(description="The `operationName`, for example `DoNotCallRecord`.")]
    status: Annotated[
        Status,
        Meta(
            description="requested: the bridge will forward the operation; accepted: Web Services replied with "
            "statusCode 0, and the acknowledgement is still to come; rejected: Web Services refused, or could not be "
            "reached (no statusCode); acknowledged: the acknowledgement came, perhaps late; timed-out: no "
            "acknowledgement came in time."
        ),
    ]
    at: Annotated[Time, Meta(description="When the operation reached this status, RFC 3339, UTC, milliseconds.")]
    account: Account
    received_at: Annotated[
        Time,
        Meta(
            description="When the bridge received the REST call, RFC 3339, UTC. All events of one operation have the "
            "same time."
        ),
    ]
    requested_by: Annotated[
        str | None,
        Meta(description="Name of the caller, by the bridge's authentication.", examples=["crm"]),
    ]
    record_handle: Annotated[
        Int64 | None,
        Meta(description="Handle of the record; null if only the phone number identifies the record."),
    ]
    request: Annotated[
        JsonObject,
        Meta(
            description="Body of the caller's request; may contain a phone number. If the body has more than 4096 "
            "bytes, only `requested` events have all of it. Other events may omit large members."
        ),
    ]
    upstream: Annotated[
        Upstream | None,
        Meta(description="Reply of Web Services to the REST call; null before the reply."),
    ] = None
    acknowledgement_id: Annotated[str | None, Meta(description="`ce_id` of the acknowledgement event.")] = None
    acknowledgement_key: Annotated[
        str | None, Meta(description="Key of the acknowledgement event, which determines its partition.")
    ] = None
    acknowledgement_topic: Annotated[
        str | None,
        Meta(
            description="Topic of the acknowledgement event, without the prefix; null means `acknowledgements.v1`. The "
            "topic is `dead-letters.v1` if Kafka refused the acknowledgement. Then `acknowledgementId` and "
            "`acknowledgementKey` belong to its dead letter.",
            examples=["dead-letters.v1"],
            extra_json_schema={"default": None},
        ),
    ] = None
    late: Annotated[
        bool,
        Meta(description="Whether the acknowledgement came after the operation had timed out."),
    ] = False
    user_event_id: Annotated[
        str | None,
        Meta(
            description="`ce_id` of the record's user event, if one came before the acknowledgement.",
            examples=["5f1d7a84db00d2fc-16"],
        ),
    ] = None
    latency_ms: Annotated[
        Count | None, Meta(description="Milliseconds from the forwarding to the acknowledgement.")
    ] = None
    asynchronous: Annotated[
        bool,
        Meta(
            description="Whether the caller did not wait (`Prefer: respond-async`). If so, the bridge forwards the "
            "request again after a crash."
        ),
    ] = False
    attempt: Annotated[
        int,
        Meta(description="How many times the bridge has sent, or may have sent, the request to Web Services.", ge=1),
    ] = 1
    sealed_request: Annotated[
        str | None,
        Meta(
            description="The complete request, encrypted, which the bridge itself needs after a crash; null if "
            "`request` is complete (privacy.phone_numbers = plain).",
            extra_json_schema={"default": None},
        ),
    ] = None


def operation_record(operation: Operation, *, traceparent: str | None = None, encoding: Encoding = JSON) -> Record:
    """Make the record of an operation's event. A retry of the same event has the same `ce_id`."""
    key = operation.reference_id.encode()
    form = encoding.form(SCHEMA)
    template = HeaderTemplate(TYPE, form.schema, operation.account, operation.at, form.content_type)
    id_ = f"{operation.reference_id}-{operation.status}-{operation.at}".encode()
    return Record(TOPIC, key, form.encode(operation), template.headers(id_, key, traceparent=traceparent))
