"""GET /operations: the state of operations, including those that other replicas forwarded."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from bridge.http.auth.authentication import READ
from bridge.http.auth.route_guard import guarded
from bridge.http.problems.problems import documented, documented_header
from bridge.http.routes.replies import OperationReport, OperationsPage, OperationStatus, json_response, report
from bridge.operations import EVERY_OPERATION, LONGEST_REFERENCE, OperationFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.http.auth.authentication import Authentication
    from bridge.operations import Counts, OperationView, Page, PublishedRequest, Submission

LONGEST_PAGE: Final = 1000
LONGEST_CURSOR: Final = 400
LONGEST_FILTER: Final = 300
FILTERS: Final = ("status", "account", "reference", "phone", "record", "since", "until")
PARAMETERS: Final = (*FILTERS, "limit", "after")


class Operations(Protocol):
    """Submits operations and returns their states. `bridge.operations.OperationsService` documents the errors."""

    async def submit(self, submission: Submission) -> OperationView:
        """Forward the operation, and return it with Web Services' verdict."""
        ...

    async def submit_async(self, submission: Submission) -> OperationView:
        """Store the request in Kafka, to be forwarded in the background."""
        ...

    async def wait(self, reference_id: str, seconds: float) -> OperationView:
        """Return the operation once it has ended, or after `seconds` in its present state."""
        ...

    def get(self, reference_id: str) -> OperationView:
        """Return one operation."""
        ...

    async def list(self, chosen: OperationFilter = EVERY_OPERATION, limit: int = 100, after: str | None = None) -> Page:
        """Return a page of operations, newest first."""
        ...

    def counts(self) -> Counts:
        """Return how many operations wait, and how many have timed out."""
        ...

    def published(self, view: OperationView) -> PublishedRequest:
        """Return the request of an operation, with phone numbers in the form that the events publish."""
        ...


# A parameter can be missing, but can't be null, so the OpenAPI schema is given by hand.
Status = Annotated[
    OperationStatus | None,
    WithJsonSchema({"type": "string", "enum": list(get_args(OperationStatus))}),
    Query(description="Return only operations with this status."),
]


_TEXT: Final = WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_FILTER})
_TIME: Final = WithJsonSchema({"type": "string", "format": "date-time"})
_RFC_3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _time(text: Any) -> Any:
    """Accept RFC 3339 only. Pydantic would also accept other forms of ISO 8601, and seconds since 1970."""
    if not isinstance(text, str) or _RFC_3339.fullmatch(text) is None:
        raise PydanticCustomError("time", "Input should be a time in RFC 3339, such as 2026-01-01T12:00:00Z")
    return text


AccountName = Annotated[
    str | None,
    _TEXT,
    Query(
        min_length=1,
        max_length=LONGEST_FILTER,
        description="Return only operations of this account.",
        examples=["bridge@example.com"],
    ),
]
Reference = Annotated[
    str | None,
    _TEXT,
    Query(
        min_length=1,
        max_length=LONGEST_FILTER,
        description="Return only the operation with this referenceId.",
        examples=["123456789"],
    ),
]
Phone = Annotated[
    str | None,
    _TEXT,
    Query(
        min_length=1,
        max_length=LONGEST_FILTER,
        description="Return only operations whose request has this phone number, or this hash of a phone number. "
        "Blanks, hyphens, dots and parentheses make no difference.",
        examples=["3001"],
    ),
]
RecordKey = Annotated[
    str | None,
    _TEXT,
    Query(
        min_length=1,
        max_length=LONGEST_FILTER,
        description="Return only operations on the outbound record with this record key: "
        "`<applicationId>/<campaignName>/<recordHandle>`. Without a handle, the last part is the phone number as the "
        "events publish it.",
        examples=["134/Campaign1/13"],
    ),
]
Since = Annotated[
    Annotated[AwareDatetime, BeforeValidator(_time)] | None,
    _TIME,
    Query(description="Return only operations that the bridge received at this time or later, in RFC 3339."),
]
Until = Annotated[
    Annotated[AwareDatetime, BeforeValidator(_time)] | None,
    _TIME,
    Query(description="Return only operations that the bridge received before this time, in RFC 3339."),
]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="Maximum number of operations on the page.")]
After = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "maxLength": LONGEST_CURSOR}),
    Query(max_length=LONGEST_CURSOR, description="The value of `next` on the previous page."),
]
ReferenceId = Annotated[
    str,
    Path(
        alias="referenceId",
        min_length=1,
        max_length=LONGEST_REFERENCE,
        description="The operation's referenceId.",
        examples=["123456789"],
    ),
]


def operations(service: Operations, authentication: Authentication) -> APIRouter:
    """Make the router for callers with the scope operations:read."""
    guard = guarded(authentication, READ)
    router = APIRouter(prefix="/operations", tags=["Operations"], dependencies=guard.dependencies)

    @router.get(
        "",
        operation_id="listOperations",
        summary="List operations, newest first",
        response_model=OperationsPage,
        responses=documented("invalid-request", "ledger-unread", "number-search-impossible", *guard.problems)
        | {200: {"headers": {"Link": _NEXT}}},
    )
    async def several(  # noqa: PLR0917 -- the query's parameters
        http: Request,
        status: Status = None,
        account: AccountName = None,
        reference: Reference = None,
        phone: Phone = None,
        record: RecordKey = None,
        since: Since = None,
        until: Until = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """Return one page of the recent operations of all replicas.

        The settings limit how many the bridge remembers.
        """
        check_query(http, PARAMETERS)
        chosen = OperationFilter(status, account, reference, phone, record, since, until)
        page = await service.list(chosen, limit, after)
        told = OperationsPage(operations=[report(one) for one in page.operations], next=page.next)
        headers = {}
        if page.next is not None:
            query = as_query(chosen) | {"limit": str(limit), "after": page.next}
            headers["Link"] = f'</operations?{urlencode(query)}>; rel="next"'
        return json_response(told, headers=headers)

    @router.get(
        "/{referenceId:path}",  # noqa: FAST003 -- by its alias
        operation_id="getOperation",
        summary="Get one operation",
        response_model=OperationReport,
        responses=documented("unknown-operation", "invalid-request", "ledger-unread", *guard.problems),
    )
    async def one(reference_id: ReferenceId) -> Response:
        """Return status, times, Web Services' reply, and the acknowledgement with its place in Kafka."""
        return json_response(report(service.get(reference_id)))

    return router


def as_query(chosen: OperationFilter) -> dict[str, str]:
    """Return the query parameters of a filter."""
    values = {name: getattr(chosen, name) for name in FILTERS}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }


def check_query(http: Request, known: Sequence[str]) -> None:
    """Refuse unknown and repeated query parameters, which FastAPI would ignore silently."""
    names = [name for name, _ in http.query_params.multi_items()]
    faults = [
        {"type": "repeated", "loc": ("query", name), "msg": "Must not be repeated"}
        for name in known
        if names.count(name) > 1
    ]
    if not set(names) <= set(known):
        faults.append({"type": "unknown", "loc": ("query",), "msg": f"Known parameters are {', '.join(known)}"})
    if faults:
        raise RequestValidationError(faults)


_NEXT: Final = documented_header('The URL of the next page, with `rel="next"` (RFC 8288). Missing on the last page.')
