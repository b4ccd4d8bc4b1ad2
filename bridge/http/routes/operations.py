"""GET /operations: the state of operations, including those that other replicas forwarded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Protocol, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import WithJsonSchema

from bridge.http.auth.authentication import READ
from bridge.http.auth.route_guard import guarded
from bridge.http.problems.problems import documented, documented_header
from bridge.http.routes.replies import OperationReport, OperationsPage, OperationStatus, json_response, report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.http.auth.authentication import Authentication
    from bridge.operations import OperationView, Page, Submission

LONGEST_PAGE: Final = 1000
LONGEST_CURSOR: Final = 400
PARAMETERS: Final = ("status", "limit", "after")


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

    def list(self, status: OperationStatus | None = None, limit: int = 100, after: str | None = None) -> Page:
        """Return a page of operations, newest first."""
        ...


# A parameter can be missing, but can't be null, so the OpenAPI schema is given by hand.
Status = Annotated[
    OperationStatus | None,
    WithJsonSchema({"type": "string", "enum": list(get_args(OperationStatus))}),
    Query(description="Return only operations with this status."),
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
        max_length=255,
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
        responses=documented("invalid-request", "ledger-unread", *guard.problems) | {200: {"headers": {"Link": _NEXT}}},
    )
    async def several(http: Request, status: Status = None, limit: Limit = 100, after: After = None) -> Response:
        """Return one page of the recent operations of all replicas. The bridge's settings limit their number."""
        check_query(http, PARAMETERS)
        page = service.list(status, limit, after)
        told = OperationsPage(operations=[report(one) for one in page.operations], next=page.next)
        headers = {}
        if page.next is not None:
            query = {"limit": str(limit), "after": page.next} | ({} if status is None else {"status": status})
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
