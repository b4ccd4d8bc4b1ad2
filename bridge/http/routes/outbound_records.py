"""The upstream's own outbound records path: checks a request, submits it, and tells as much as the caller prefers."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from bridge.http.auth.authentication import WRITE
from bridge.http.auth.guarded import guarded
from bridge.http.problems.problems import documented
from bridge.http.problems.types import SUBMISSION
from bridge.http.routes.prefer import LONGEST_WAIT, parse_prefer
from bridge.http.routes.replies import REPLIES, OperationReply, outcome
from bridge.http.routes.strict_json import strict_json
from bridge.http.routes.submissions import ACCOUNT, BARE_KEY, IDEMPOTENCY_KEY, check_headers, read_request, traceparent
from bridge.operations import LARGEST_ID, Submission, request_forms

if TYPE_CHECKING:
    from collections.abc import Collection

    from bridge.http.auth.authentication import Authentication
    from bridge.http.routes.operations import Operations
    from bridge.http.routes.submissions import Forms
    from bridge.operations import OperationView

_DIGITS: Final = re.compile(r"[0-9]{1,19}")


def _handle(value: Any) -> Any:
    """Take plain digits only: pydantic alone would also take `+1`, `1.0` and `1_000`."""
    if not isinstance(value, str) or _DIGITS.fullmatch(value) is None:
        raise PydanticCustomError("record_handle", "Input should be a whole number, in digits")
    return int(value)


RecordHandle = Annotated[
    Annotated[int, Field(ge=0, le=LARGEST_ID)],
    BeforeValidator(_handle),
    Path(alias="recordHandle", description="The record's handle.", examples=[13]),
]
# A header can be missing, but is never null.
Account = Annotated[
    str | None,
    WithJsonSchema({"type": "string"}),
    Header(alias=ACCOUNT, description="The bridge's account to use; the first one where it is missing."),
]
Prefer = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "examples": ["wait=5", "respond-async"]}),
    Header(
        alias="Prefer",
        description="RFC 7240. `wait=S`: answer when the acknowledgement came, or after S seconds (at most "
        f"{LONGEST_WAIT}). `respond-async`: answer once the request is durable in Kafka. Both: that first, then wait.",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "pattern": BARE_KEY}),
    Header(
        alias=IDEMPOTENCY_KEY,
        description="Becomes the referenceId of a body without one; the same request is forwarded once under it.",
    ),
]


def outbound_records(service: Operations, authentication: Authentication, enabled: Collection[str]) -> APIRouter:
    """Make the router, for the operations that are `enabled`."""
    guard = guarded(authentication, WRITE)
    router = APIRouter(
        prefix="/api/v2/me/outbound-records",
        tags=["Outbound records"],
        dependencies=guard.dependencies,
        responses=_ACCEPTED | documented(*SUBMISSION, *guard.problems),
    )
    on_record, on_none = request_forms(enabled, with_handle=True), request_forms(enabled, with_handle=False)

    async def submit(http: Request, account: str | None, record_handle: int | None, forms: Forms) -> Response:
        check_headers(http.headers)
        request = read_request(await strict_json(http), forms, enabled, http.headers)
        submission = Submission(account, record_handle, request, http.state.caller.name, traceparent(http))
        http.state.reference_id = submission.reference_id  # problems name it too
        preferences = parse_prefer(http.headers.getlist("Prefer"))
        view = await (service.submit_async if preferences.respond_async else service.submit)(submission)
        if preferences.wait and view.pending:
            view = await _wait(service, submission.reference_id, preferences.wait, http)
        return outcome(view, preferences)

    @router.post(
        "/{recordHandle}",  # noqa: FAST003 -- by its alias
        operation_id="submitByHandle",
        summary="Submit an operation on a record",
        response_model=OperationReply,
        openapi_extra=_body(on_record.values()),
    )
    async def by_handle(
        http: Request,
        record_handle: RecordHandle,
        account: Account = None,
        prefer: Prefer = None,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Forward the operation for the record of that handle. Accepted is not done: the acknowledgement follows."""
        del prefer, idempotency_key  # documented here, read where they may stand several times
        return await submit(http, account, record_handle, on_record)

    @router.post(
        "",
        operation_id="submitWithoutHandle",
        summary="Submit an operation that names its record by phone number, or adds one",
        response_model=OperationReply,
        openapi_extra=_body(on_none.values()),
        include_in_schema=bool(on_none),
    )
    async def by_number(
        http: Request, account: Account = None, prefer: Prefer = None, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Forward the operation. Accepted is not done: the acknowledgement follows."""
        del prefer, idempotency_key
        return await submit(http, account, None, on_none)

    return router


async def _wait(service: Operations, reference_id: str, seconds: float, http: Request) -> OperationView:
    """Wait for the operation's end; no longer than the caller does, and the server is there."""
    waiting = asyncio.ensure_future(service.wait(reference_id, seconds))
    ending = asyncio.ensure_future(http.app.state.ending.wait())
    gone = asyncio.ensure_future(http.receive())  # the body is read: all that can come is the disconnect
    try:
        await asyncio.wait({waiting, ending, gone}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else await service.wait(reference_id, 0)
    finally:
        for task in (waiting, ending, gone):
            task.cancel()
        await asyncio.wait({waiting, ending, gone})


def _body(forms: Collection[Any]) -> dict[str, Any]:
    """Describe the body: one of the forms, told apart by its operationName."""
    references = {form: f"#/components/schemas/{form.__name__}" for form in forms}
    mapping = {form.model_fields["operation_name"].annotation.__args__[0]: at for form, at in references.items()}
    schema: dict[str, Any] = {
        "oneOf": [{"$ref": at} for at in references.values()],
        "discriminator": {"propertyName": "operationName", "mapping": mapping},
    }
    if len(references) == 1:
        [only] = references.values()
        schema = {"$ref": only}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_APPLIED: Final = {"description": "Which preferences were heeded (RFC 7240).", "schema": {"type": "string"}}
_LOCATION: Final = {"description": "Where to see what becomes of it.", "schema": {"type": "string"}}


def _replies(status: int) -> dict[str, Any]:
    examples = {name: {"value": value} for name, value in REPLIES[status].items()}
    return {"application/json": {"examples": examples}}


_ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Web Services accepted it; with a preference: it is done, and acknowledged.",
        "headers": {"Preference-Applied": _APPLIED},
        "content": _replies(200),
    },
    202: {
        "description": "Taken, and not acknowledged yet.",
        "model": OperationReply,
        "headers": {"Preference-Applied": _APPLIED, "Location": _LOCATION},
        "content": _replies(202),
    },
}
