"""The response bodies that describe an operation's state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import quote

import msgspec
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from bridge.http.problems.problems import RETRY_UNREACHABLE, problem, rejection
from bridge.http.problems.types import UNDELIVERED
from bridge.operations import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.http.reading.prefer import Preferences
    from bridge.operations import OperationView

OperationStatus: TypeAlias = Literal["requested", "accepted", "rejected", "acknowledged", "timed-out"]
_PLACE: Final = "/operations/"


class _Told(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class AcknowledgementReply(_Told):
    """The acknowledgement event of an operation, and its place in Kafka."""

    id: Annotated[str, Field(description="The event's `ce_id`.")]
    topic: Annotated[str, Field(description="The Kafka topic with the event.")]
    key: Annotated[str | None, Field(description="The key of the Kafka record.")] = None
    partition: Annotated[int | None, Field(description="The partition, if the bridge knows it.")] = None
    late: Annotated[
        bool, Field(description="Whether the acknowledgement arrived after the operation had timed out.")
    ] = False


_UPSTREAMS: Final[dict[str, JsonValue]] = {"statusCode": 0, "referenceId": "123456789"}
_EVIDENCE: Final[dict[str, JsonValue]] = {
    "id": "60afa5376436a208-17",
    "topic": "gws.acknowledgements.v1",
    "key": "134/Campaign1/13",
    "partition": 3,
    "late": False,
}
REPLIES: Final[Mapping[int, Mapping[str, JsonValue]]] = {
    200: {
        "accepted": _UPSTREAMS,
        "acknowledged": _UPSTREAMS | {"status": "acknowledged", "acknowledgement": _EVIDENCE},
    },
    202: {
        "accepted": _UPSTREAMS | {"status": "accepted"},
        "requested": {"referenceId": "123456789", "status": "requested"},
    },
}
"""Examples of an `OperationReply`, by HTTP status."""
_REPORT: Final[dict[str, JsonValue]] = {
    "referenceId": "123456789",
    "operation": "DoNotCallRecord",
    "status": "acknowledged",
    "account": "bridge@example.com",
    "receivedAt": "2026-01-01T12:00:00.012Z",
    "requestedBy": "crm",
    "recordHandle": 13,
    "asynchronous": False,
    "attempt": 1,
    "times": {
        "requested": "2026-01-01T12:00:00.012Z",
        "accepted": "2026-01-01T12:00:00.031Z",
        "acknowledged": "2026-01-01T12:00:00.250Z",
    },
    "upstream": {"httpStatus": 200, "statusCode": 0},
    "acknowledgement": _EVIDENCE,
    "latencyMs": 238,
}


class OperationReply(_Told):
    """The state of a submitted operation. Without preferences the reply has only statusCode and referenceId."""

    model_config = ConfigDict(json_schema_extra={"examples": [_UPSTREAMS]})

    status_code: Annotated[
        Literal[0] | None, Field(description="0: Web Services accepted the operation. It need not be done yet.")
    ] = None
    reference_id: Annotated[
        str, Field(description="The referenceId that the caller sent, or a new one if the caller sent none.")
    ]
    status: OperationStatus | None = None
    acknowledgement: AcknowledgementReply | None = None


class UpstreamReport(_Told):
    """Web Services' reply to the REST call."""

    http_status: int | None = None
    status_code: int | None = None
    status_message: str | None = None


class TimesReport(_Told):
    """The time at which the operation reached each status, in RFC 3339.

    A status that the operation did not reach is missing.
    """

    requested: str | None = None
    accepted: str | None = None
    rejected: str | None = None
    acknowledged: str | None = None
    timed_out: str | None = None


class OperationReport(_Told):
    """The present state of one operation. The request's content is not included, but is in Kafka."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REPORT]})

    reference_id: str
    operation: Annotated[str, Field(description="The `operationName`.")]
    status: OperationStatus
    account: str
    received_at: Annotated[str, Field(description="When the bridge received the REST call, in RFC 3339.")]
    requested_by: Annotated[str | None, Field(description="The caller's name, from its token.")] = None
    record_handle: int | None = None
    asynchronous: Annotated[bool, Field(description="Whether the caller sent `Prefer: respond-async`.")] = False
    attempt: Annotated[
        int, Field(description="How many times the request was, or may have been, sent to Web Services.")
    ] = 1
    times: TimesReport
    upstream: UpstreamReport | None = None
    acknowledgement: AcknowledgementReply | None = None
    user_event_id: Annotated[
        str | None, Field(description="`ce_id` of the user event about the same outbound record, if one arrived.")
    ] = None
    latency_ms: Annotated[int | None, Field(description="Milliseconds from the forwarding to the acknowledgement.")] = (
        None
    )


class OperationsPage(_Told):
    """A page of operations, newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"operations": [_REPORT], "next": "123456789"}]})

    operations: list[OperationReport]
    next: Annotated[
        str | None, Field(description="The value of `after` for the next page. Missing on the last page.")
    ] = None


def json_response(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Make a response with a model. Members that are None are left out."""
    return _json(model.model_dump_json(by_alias=True, exclude_none=True), status, headers)


def _json(content: str | bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(content, status, headers, media_type="application/json")


def location(reference_id: str) -> str:
    """Return the URL path of an operation."""
    return _PLACE + quote(reference_id, safe="")


def outcome(view: OperationView, preferences: Preferences) -> Response:
    """Make the response to a submission.

    A rejected operation gets a problem. Without preferences, an accepted operation gets the reply that Web Services
    itself sends. With preferences, an acknowledged operation gets 200 with the acknowledgement, and a pending operation
    gets 202.
    """
    upstream = view.upstream
    if view.status == "rejected":
        return _rejected(view)
    accepted = upstream is not None and upstream.status_code == 0
    acknowledged = view.status == "acknowledged"
    if not preferences.applied and (accepted or acknowledged):
        return _json(msgspec.json.encode({"statusCode": 0, "referenceId": view.reference_id}))
    reply = OperationReply(
        status_code=0 if accepted or acknowledged else None,
        reference_id=view.reference_id,
        status=view.status,
        acknowledgement=_acknowledgement(view.acknowledgement),
    )
    applied = replace(preferences, respond_async=preferences.respond_async and not acknowledged).applied
    headers = {"Preference-Applied": applied} if applied else {}
    if not acknowledged:
        headers["Location"] = location(view.reference_id)
    return json_response(reply, 200 if acknowledged else 202, headers)


def report(view: OperationView) -> OperationReport:
    """Return the state of an operation, without its request."""
    return OperationReport.model_validate(view, from_attributes=True)


def _acknowledgement(evidence: Any) -> AcknowledgementReply | None:
    return None if evidence is None else AcknowledgementReply.model_validate(evidence, from_attributes=True)


def _rejected(view: OperationView) -> Response:
    upstream = view.upstream
    if upstream is None or upstream.status_code is None:
        headers = {"Retry-After": str(RETRY_UNREACHABLE)}
        return problem(503, "undelivered", UNDELIVERED, headers=headers, reference_id=view.reference_id)
    return rejection(refusal(upstream.status_code), upstream.status_code, upstream.status_message, view.reference_id)
