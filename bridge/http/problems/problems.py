"""Makes the error responses of the REST API, as problem details (RFC 9457)."""

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
    NoSuchEvidence,
    NumberSearchImpossible,
    TimestampRefused,
    TooMuchEvidence,
    UnknownAccount,
    UnknownOperation,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from bridge.http.problems.types import CODES, EXAMPLES, INTERNAL, TYPE
from bridge.operations import status_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEDIA_TYPE: Final = "application/problem+json"
MISSING: Final = 1
INVALID: Final = 10
NOT_FORWARDED: Final = "Nothing was forwarded. "
RETRY_UNREACHABLE: Final = 5
RETRY_LOGIN: Final = 60
"""Retry-After in seconds. After a refused login the bridge waits at least half a minute before the next login."""

_STATUSES: Final[tuple[tuple[type[BridgeError], int], ...]] = (
    (UpstreamUnreachable, 503),
    (UpstreamTimeout, 504),
    (LoginRefused, 503),
    (LoginNotKept, 503),
    (UpstreamError, 502),
    (UnknownAccount, 404),
    (UnknownOperation, 404),
    (Conflict, 422),
    (NumberSearchImpossible, 422),
    (Busy, 429),
    (LedgerUnread, 503),
    (NoSuchEvidence, 404),
    (TooMuchEvidence, 422),
    (TimestampRefused, 502),
    (DeliveryError, 503),
)


class Fault(BaseModel):
    """An invalid part of the request. Errors never repeat the part's value, which may be personal data."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    location: Annotated[
        Literal["body", "path", "query", "header"], Field(description="The part of the request with the error.")
    ]
    name: Annotated[
        str, Field(description="The name of the parameter, header or body field. A nested field has a dotted path.")
    ]
    detail: Annotated[str, Field(description="What is wrong, for people.")]
    status_code: Annotated[
        int, Field(description="The matching statusCode of Web Services: 1 for a missing value, 10 for an invalid one.")
    ]


class Problem(BaseModel):
    """An error as problem details (RFC 9457), with the statusCode and statusMessage of Web Services."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    type: Annotated[str, Field(description=f"`{TYPE}` followed by the code.")]
    title: Annotated[str, Field(description="The standard text of the HTTP status.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="What happened and what the caller can do, for people.")]
    code: Annotated[str, Field(description="A stable code for programs to test.", json_schema_extra={"enum": [*CODES]})]
    status_code: Annotated[
        int | None, Field(description="The statusCode that Web Services has for this error, if there is one.")
    ] = None
    status_message: Annotated[
        str | None, Field(description="The message of Web Services, if Web Services rejected the operation.")
    ] = None
    reference_id: Annotated[str | None, Field(description="The operation's referenceId, if it is known.")] = None
    errors: Annotated[
        list[Fault] | None, Field(description="The invalid parts of the request, if the request is invalid.")
    ] = None


class Refused(Exception):
    """A request that the bridge refuses. `headers` and `members` of the problem are added to the response."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.members = members


def header_refused(name: str, code: str, detail: str, *, reference_id: str | None = None) -> Refused:
    """Return the refusal of a request with an invalid header."""
    fault = Fault(location="header", name=name, detail=detail, status_code=INVALID)
    return Refused(422, code, detail, status_code=INVALID, errors=[fault], reference_id=reference_id)


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    """Make the response for a problem. Members that are None are left out."""
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
    """Make the response for an error of `bridge.errors`."""
    if isinstance(error, UpstreamRejected):
        return rejection(str(error), error.status_code, error.status_message, reference_id)
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    return problem(
        status,
        error.code,
        str(error) if status != 500 else INTERNAL,
        headers={"Retry-After": str(_retry_after(error))} if status in {429, 503} else None,
        status_code=INVALID if isinstance(error, UnknownAccount | NumberSearchImpossible) else None,
        reference_id=reference_id,
        errors=_header_fault(error) if isinstance(error, UnknownAccount) else None,
    )


def rejection(detail: str, code: int, message: str | None, reference_id: str | None) -> Response:
    """Make the response for a rejected operation. The statusCode of Web Services determines the HTTP status."""
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


def validation_problem(errors: Sequence[Any], reference_id: str | None, *, submission: bool = True) -> Response:
    """Make the response for an invalid request. The statusCode is 1 if a value is missing, else 10.

    `submission` is false for a request that only reads, so that the text does not mention forwarding.
    """
    faults = [_fault(error) for error in errors]
    missing = any(fault.status_code == MISSING for fault in faults)
    names = ", ".join(dict.fromkeys(fault.name for fault in faults))
    return problem(
        422,
        "invalid-request",
        f"The request is invalid. {NOT_FORWARDED if submission else ''}"
        f"{'Missing or invalid' if missing else 'Invalid'}: {names}.",
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
    """Return the OpenAPI descriptions of the responses with these problem codes, with an example for each code."""
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


def documented_header(description: str, kind: str = "string") -> dict[str, Any]:
    """Return the OpenAPI description of a response header. `kind` is its JSON type."""
    return {"description": description, "schema": {"type": kind}}


_RETRY: Final = {"Retry-After": documented_header("Seconds to wait before the next attempt.", "integer")}
_CHALLENGE: Final = {"WWW-Authenticate": documented_header("The reason, as in RFC 6750, section 3.")}
_HEADERS: Final = {401: _CHALLENGE, 429: _RETRY, 503: _RETRY}
DESCRIPTIONS: Final = {
    400: "The body is not JSON.",
    401: "The token is missing or invalid.",
    403: "Web Services does not permit the operation to the account (statusCode 3, 5), the token lacks the scope, or "
    "the request comes from a web page of another origin.",
    404: "The bridge does not know the account or the operation, or Web Services does not know the resource "
    "(statusCode 6).",
    408: "The body did not arrive in time.",
    409: "Web Services can't do the operation in its present state (statusCode 4 and others). A retry helps only once "
    "that state has changed.",
    413: "The body is too large.",
    415: "The body's media type is not JSON, or is missing.",
    421: "The bridge does not accept the host name in the header Host.",
    422: "The bridge or Web Services found the request invalid (statusCode 1 missing, 10 invalid), or its referenceId "
    "belongs to another request. The operation was not done.",
    429: "Too many operations, or too many requests of this caller, are under way. Nothing was forwarded.",
    502: "Web Services, or the time-stamping authority for evidence, sent no valid reply.",
    503: "Web Services or Kafka is unreachable, or Web Services does not accept the bridge's login.",
    504: "Web Services did not answer in time. The operation may have been done.",
}
