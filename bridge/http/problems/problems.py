"""Problem details (RFC 9457) for everything that the REST side refuses or can't do."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bridge.errors import (
    BridgeError,
    Busy,
    Conflict,
    DeliveryError,
    LedgerUnread,
    LoginNotKept,
    LoginRefused,
    UnknownAccount,
    UnknownOperation,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from bridge.http.problems.types import CODES, EXAMPLES, TYPE
from bridge.operations import status_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEDIA_TYPE: Final = "application/problem+json"
MISSING: Final = 1
INVALID: Final = 10
RETRY_UNREACHABLE: Final = 5
RETRY_LOGIN: Final = 60
"""Seconds: a refused password is tried again no sooner than every half minute."""

_STATUSES: Final[tuple[tuple[type[BridgeError], int], ...]] = (
    (UpstreamUnreachable, 503),
    (UpstreamTimeout, 504),
    (LoginRefused, 503),
    (LoginNotKept, 503),
    (UpstreamError, 502),
    (UnknownAccount, 404),
    (UnknownOperation, 404),
    (Conflict, 422),
    (Busy, 429),
    (LedgerUnread, 503),
    (DeliveryError, 503),
)


class Fault(BaseModel):
    """One part of the request that is wrong; its value is never repeated."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    location: Annotated[Literal["body", "path", "query", "header"], Field(description="Where it is.")]
    name: Annotated[str, Field(description="The field, parameter or header; a dotted path inside the body.")]
    detail: str
    status_code: Annotated[int, Field(description="Web Services' number: 1 missing, 10 invalid.")]


class Problem(BaseModel):
    """A problem as RFC 9457 has it, with what callers of Web Services know it by."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    type: Annotated[str, Field(description=f"`{TYPE}` and the code.")]
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(description="Stable, for programs.", json_schema_extra={"enum": [*CODES]})]
    status_code: Annotated[
        int | None, Field(description="Web Services' statusCode for this problem, if it has one.")
    ] = None
    status_message: Annotated[str | None, Field(description="Web Services' own words, where it said no.")] = None
    reference_id: Annotated[str | None, Field(description="The operation's, once it is known.")] = None
    errors: Annotated[list[Fault] | None, Field(description="What is wrong with the request, part by part.")] = None


class Refused(Exception):
    """A request that can't be taken as it is; `headers` and further members of the problem go with the answer."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.members = members


def header_refused(name: str, code: str, detail: str, *, reference_id: str | None = None) -> Refused:
    """Refuse a request for one of its headers."""
    fault = Fault(location="header", name=name, detail=detail, status_code=INVALID)
    return Refused(422, code, detail, status_code=INVALID, errors=[fault], reference_id=reference_id)


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    """Answer with a problem; members that are None are left out."""
    body = Problem(
        type=f"{TYPE}{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        **members,
    )
    content = body.model_dump_json(by_alias=True, exclude_none=True)
    return Response(content, status, headers, media_type=MEDIA_TYPE)


def bridge_problem(error: BridgeError, reference_id: str | None) -> Response:
    """Answer with an error of the bridge's own tree."""
    if isinstance(error, UpstreamRejected):
        return rejection(str(error), error.status_code, error.status_message, reference_id)
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    return problem(
        status,
        error.code,
        str(error) if status != 500 else "The bridge failed; its log says where.",
        headers={"Retry-After": str(_retry_after(error))} if status in {429, 503} else None,
        status_code=INVALID if isinstance(error, UnknownAccount) else None,
        reference_id=reference_id,
        errors=_header_fault(error) if isinstance(error, UnknownAccount) else None,
    )


def rejection(detail: str, code: int, message: str | None, reference_id: str | None) -> Response:
    """Answer with a refusal of Web Services, under the HTTP status of its statusCode's meaning."""
    status = status_code(code).http_status
    return problem(
        status,
        UpstreamRejected.code,
        detail,
        headers={"Retry-After": str(RETRY_LOGIN)} if status == 503 else None,
        status_code=code,
        status_message=message,
        reference_id=reference_id,
    )


def _retry_after(error: BridgeError) -> int:
    if isinstance(error, Busy):
        return error.retry_after
    return RETRY_LOGIN if isinstance(error, LoginRefused) else RETRY_UNREACHABLE


def validation_problem(errors: Sequence[Any], reference_id: str | None) -> Response:
    """Answer a request that the models refuse: statusCode 1 where something is missing, else 10."""
    faults = [_fault(error) for error in errors]
    missing = any(fault.status_code == MISSING for fault in faults)
    names = ", ".join(dict.fromkeys(fault.name for fault in faults))
    return problem(
        422,
        "invalid-request",
        f"Nothing was forwarded; {'missing or wrong' if missing else 'wrong'}: {names}.",
        status_code=MISSING if missing else INVALID,
        reference_id=reference_id,
        errors=faults,
    )


def _fault(error: Any) -> Fault:
    location, *path = error["loc"]
    name = ".".join(str(part) for part in path) or location
    code = MISSING if error["type"] == "missing" else INVALID
    return Fault(location=location, name=name, detail=error["msg"], status_code=code)


def _header_fault(error: BridgeError) -> list[Fault]:
    return [Fault(location="header", name="X-Account", detail=str(error), status_code=INVALID)]


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Describe problem answers for OpenAPI, each with its example."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    answers: dict[int | str, dict[str, Any]] = {}
    for example in sorted((one for one in EXAMPLES if one["code"] in codes), key=lambda one: int(one["status"])):
        status = example["status"]
        answer = answers.setdefault(
            status,
            {
                "description": DESCRIPTIONS[status],
                "content": {MEDIA_TYPE: {"schema": schema, "examples": {}}},
                **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
            },
        )
        answer["content"][MEDIA_TYPE]["examples"][example["code"]] = {"value": example}
    return answers


_RETRY: Final = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_CHALLENGE: Final = {"WWW-Authenticate": {"description": "RFC 6750, section 3.", "schema": {"type": "string"}}}
_HEADERS: Final = {401: _CHALLENGE, 429: _RETRY, 503: _RETRY}
DESCRIPTIONS: Final = {
    400: "The body is not JSON.",
    401: "The caller does not prove who it is.",
    403: "Web Services forbids it to the account (statusCode 3, 5), the caller's token lacks the scope, or a web page "
    "of another origin asks.",
    404: "The bridge does not know the account or the operation, or Web Services not the resource (statusCode 6).",
    408: "The body did not come in time.",
    409: "Web Services can't do it in its present state (statusCode 4 and others): no blind retry.",
    413: "The body is too large.",
    415: "The body's media type is not JSON, or is missing.",
    421: "The bridge does not answer under the name in the header Host.",
    422: "The request is not valid (statusCode 1 missing, 10 invalid): nothing was forwarded, or Web Services says so; "
    "or its referenceId belongs to another request.",
    429: "Too many operations, or too many requests of this caller, are under way; nothing was forwarded.",
    502: "Web Services answered nonsense.",
    503: "Web Services, or what the answer needs of Kafka, can't be reached; or the bridge's login is not accepted.",
    504: "Web Services is too slow.",
}
