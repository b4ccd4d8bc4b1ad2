"""How an operation's state reads to REST callers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import quote

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from bridge.http.problems.problems import RETRY_UNREACHABLE, problem, rejection
from bridge.operations import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.http.routes.prefer import Preferences
    from bridge.operations import OperationView

OperationStatus: TypeAlias = Literal["requested", "accepted", "rejected", "acknowledged", "timed-out"]
_PLACE: Final = "/operations/"


class _Told(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class AcknowledgementReply(_Told):
    """The acknowledgement event, and where it lies in Kafka."""

    id: Annotated[str, Field(description="Its `ce_id`.")]
    topic: str
    key: str | None = None
    partition: int | None = None
    late: Annotated[bool, Field(description="Whether it came after the operation had been given up.")] = False


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
    """What became of a submitted operation so far; without a preference only the first two members, as upstream."""

    model_config = ConfigDict(json_schema_extra={"examples": [_UPSTREAMS]})

    status_code: Annotated[
        Literal[0] | None, Field(description="0: Web Services accepted it, which is not done yet.")
    ] = None
    reference_id: Annotated[str, Field(description="The caller's, or the bridge's where it sent none.")]
    status: OperationStatus | None = None
    acknowledgement: AcknowledgementReply | None = None


class UpstreamReport(_Told):
    """What Web Services answered to the REST call."""

    http_status: int | None = None
    status_code: int | None = None
    status_message: str | None = None


class TimesReport(_Told):
    """When the operation came to each status, RFC 3339."""

    requested: str | None = None
    accepted: str | None = None
    rejected: str | None = None
    acknowledged: str | None = None
    timed_out: str | None = None


class OperationReport(_Told):
    """One operation as it stands now. The request's own content is not told again: it is on Kafka."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REPORT]})

    reference_id: str
    operation: Annotated[str, Field(description="The `operationName`.")]
    status: OperationStatus
    account: str
    received_at: Annotated[str, Field(description="When the bridge received the REST call.")]
    requested_by: Annotated[str | None, Field(description="The caller, as its token names it.")] = None
    record_handle: int | None = None
    asynchronous: Annotated[bool, Field(description="Whether the caller preferred `respond-async`.")] = False
    attempt: Annotated[int, Field(description="How often it was, or may have been, sent to Web Services.")] = 1
    times: TimesReport
    upstream: UpstreamReport | None = None
    acknowledgement: AcknowledgementReply | None = None
    user_event_id: Annotated[str | None, Field(description="`ce_id` of the record's user event, if known.")] = None
    latency_ms: Annotated[int | None, Field(description="From the forwarding to the acknowledgement.")] = None


class OperationsPage(_Told):
    """Operations, newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"operations": [_REPORT], "next": "123456789"}]})

    operations: list[OperationReport]
    next: Annotated[str | None, Field(description="`after` of the following page; missing on the last one.")] = None


def json_response(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with a model; members that are None are left out."""
    content = model.model_dump_json(by_alias=True, exclude_none=True)
    return Response(content, status, headers, media_type="application/json")


def location(reference_id: str) -> str:
    """Return the path of an operation."""
    return _PLACE + quote(reference_id, safe="")


def outcome(view: OperationView, preferences: Preferences) -> Response:
    """Answer a submission with where it stands.

    Upstream's own answer where the caller has no preference; 200 with the acknowledgement, or 202 with the status so
    far, where it has one. A refusal is a problem in any case.
    """
    upstream = view.upstream
    if view.status == "rejected":
        return _rejected(view)
    accepted = upstream is not None and upstream.status_code == 0
    acknowledged = view.status == "acknowledged"
    if not preferences.applied and (accepted or acknowledged):
        return json_response(OperationReply(status_code=0, reference_id=view.reference_id))
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
    """Tell all that is known of an operation but its request."""
    return OperationReport.model_validate(view, from_attributes=True)


def _acknowledgement(evidence: Any) -> AcknowledgementReply | None:
    return None if evidence is None else AcknowledgementReply.model_validate(evidence, from_attributes=True)


def _rejected(view: OperationView) -> Response:
    upstream = view.upstream
    if upstream is None or upstream.status_code is None:
        return problem(
            503,
            "undelivered",
            "Web Services never judged the operation; send it again, under the same referenceId if you like.",
            headers={"Retry-After": str(RETRY_UNREACHABLE)},
            reference_id=view.reference_id,
        )
    return rejection(refusal(upstream.status_code), upstream.status_code, upstream.status_message, view.reference_id)
