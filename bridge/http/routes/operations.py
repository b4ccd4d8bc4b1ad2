"""GET /operations: what became of each operation, whichever replica forwarded it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Protocol, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import WithJsonSchema

from bridge.http.auth.authentication import READ
from bridge.http.auth.guarded import guarded
from bridge.http.problems.problems import documented
from bridge.http.routes.replies import OperationReport, OperationsPage, OperationStatus, json_response, report

if TYPE_CHECKING:
    from bridge.http.auth.authentication import Authentication
    from bridge.operations import OperationView, Page, Submission

LONGEST_PAGE: Final = 1000
LONGEST_CURSOR: Final = 400
PARAMETERS: Final = ("status", "limit", "after")


class Operations(Protocol):
    """What takes operations, and knows them; `bridge.operations.OperationsService` says what each raises."""

    async def submit(self, submission: Submission) -> OperationView:
        """Forward now; return with upstream's verdict."""
        ...

    async def submit_async(self, submission: Submission) -> OperationView:
        """Return once the request is durable."""
        ...

    async def wait(self, reference_id: str, seconds: float) -> OperationView:
        """Return once the operation has ended, or as it stands after `seconds`."""
        ...

    def get(self, reference_id: str) -> OperationView:
        """Return one."""
        ...

    def list(self, status: OperationStatus | None = None, limit: int = 100, after: str | None = None) -> Page:
        """Return a page of them, newest first."""
        ...


# A parameter can be missing, but is never null.
Status = Annotated[
    OperationStatus | None,
    WithJsonSchema({"type": "string", "enum": list(get_args(OperationStatus))}),
    Query(description="Only those that stand there now."),
]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="How many at most.")]
After = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "maxLength": LONGEST_CURSOR}),
    Query(max_length=LONGEST_CURSOR, description="The `next` of the page before."),
]
ReferenceId = Annotated[str, Path(alias="referenceId", min_length=1, max_length=255, examples=["123456789"])]


def operations(service: Operations, authentication: Authentication) -> APIRouter:
    """Make the router."""
    guard = guarded(authentication, READ)
    router = APIRouter(prefix="/operations", tags=["Operations"], dependencies=guard.dependencies)

    @router.get(
        "",
        operation_id="listOperations",
        summary="Operations, newest first",
        response_model=OperationsPage,
        responses=documented("invalid-request", "ledger-unread", *guard.problems) | {200: {"headers": {"Link": _NEXT}}},
    )
    async def several(http: Request, status: Status = None, limit: Limit = 100, after: After = None) -> Response:
        """Tell the operations of the last day, those of other replicas too, page by page."""
        _check_query(http)
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
        summary="One operation",
        response_model=OperationReport,
        responses=documented("unknown-operation", "invalid-request", "ledger-unread", *guard.problems),
    )
    async def one(reference_id: ReferenceId) -> Response:
        """Tell status, times, upstream's reply, and the acknowledgement with its place in Kafka."""
        return json_response(report(service.get(reference_id)))

    return router


def _check_query(http: Request) -> None:
    """Refuse unknown and repeated query parameters, which would otherwise silently have no effect."""
    names = [name for name, _ in http.query_params.multi_items()]
    faults = [
        {"type": "repeated", "loc": ("query", name), "msg": "Should stand once"}
        for name in PARAMETERS
        if names.count(name) > 1
    ]
    if not set(names) <= set(PARAMETERS):
        faults.append({"type": "unknown", "loc": ("query",), "msg": f"There are only {', '.join(PARAMETERS)}"})
    if faults:
        raise RequestValidationError(faults)


_NEXT: Final = {"description": "The following page (RFC 8288).", "schema": {"type": "string"}}
