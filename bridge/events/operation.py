"""The life of a forwarded operation: one event each time that its status changes."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from bridge.events.cloudevent import HeaderTemplate
from bridge.events.encoding import JSON, Encoding
from bridge.events.record import Record

TOPIC = "operations.v1"
TYPE = "gws.operation.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:operation:v1"

Status: TypeAlias = Literal["requested", "accepted", "rejected", "acknowledged", "timed-out"]


class Upstream(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """What Web Services answered to the REST call."""

    http_status: int | None
    status_code: int | None
    status_message: str | None
    """Web Services' free text: it may quote device numbers."""


class Operation(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """The value of an operation event."""

    reference_id: str
    operation: str
    """The `operationName`, for example `DoNotCallRecord`."""
    status: Status
    at: str
    """When the operation came to this status, RFC 3339."""
    account: str
    received_at: str
    """When the bridge received the REST call, RFC 3339: the same in all events of one operation."""
    requested_by: str | None
    """Who called the bridge, as its authentication knows the caller."""
    record_handle: int | None
    """None where the record is named by phone number."""
    request: msgspec.Raw
    """The body that the caller sent, a JSON object."""
    upstream: Upstream | None = None
    acknowledgement_id: str | None = None
    """`ce_id` of the acknowledgement event."""
    acknowledgement_key: str | None = None
    """Key of the acknowledgement event, which tells its partition."""
    late: bool = False
    """Whether the acknowledgement came after the operation had been given up as timed out."""
    user_event_id: str | None = None
    """`ce_id` of the record's user event, where one came before any acknowledgement."""
    latency_ms: int | None = None
    """Milliseconds from the forwarding to the acknowledgement."""
    asynchronous: bool = False
    """Whether the caller did not wait (`Prefer: respond-async`): then the bridge forwards it again after a crash."""
    attempt: int = 1
    """How many times the operation has been, or may have been, sent to Web Services."""


def operation_record(operation: Operation, *, traceparent: str | None = None, encoding: Encoding = JSON) -> Record:
    """Make the record of an operation's event; a second try of the same event has the same id."""
    key = operation.reference_id.encode()
    form = encoding.form(SCHEMA)
    template = HeaderTemplate(TYPE, form.schema, operation.account, operation.at, form.content_type)
    id_ = f"{operation.reference_id}-{operation.status}-{operation.at}".encode()
    return Record(TOPIC, key, form.encode(operation), template.headers(id_, key, traceparent=traceparent))
