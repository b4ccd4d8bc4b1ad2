"""POST /api/v2/me/outbound-records: accepts operations under the path that Web Services itself has for them."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from bridge.http.auth.authentication import WRITE
from bridge.http.auth.route_guard import guarded
from bridge.http.problems.problems import documented, documented_header
from bridge.http.problems.types import SUBMISSION
from bridge.http.reading.body import strict_json
from bridge.http.reading.direct_route import DirectRoute
from bridge.http.reading.outbound_request import (
    ACCOUNT,
    BARE_KEY,
    IDEMPOTENCY_KEY,
    check_headers,
    read_request,
    traceparent,
)
from bridge.http.reading.prefer import LONGEST_WAIT, parse_prefer
from bridge.http.routes.replies import REPLIES, OperationReply, outcome
from bridge.operations import LARGEST_ID, Submission, request_forms

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from starlette.routing import BaseRoute

    from bridge.http.auth.authentication import Authentication
    from bridge.http.routes.operations import Operations
    from bridge.operations import Forms, OperationView

_BY_NUMBER: Final = "/api/v2/me/outbound-records"
_BY_HANDLE: Final = f"{_BY_NUMBER}/{{recordHandle}}"
_DIGITS: Final = re.compile(r"[0-9]{1,19}")


def _handle(value: Any) -> Any:
    """Accept plain digits only. Pydantic would also accept `+1`, `1.0` and `1_000`."""
    if not isinstance(value, str) or _DIGITS.fullmatch(value) is None:
        raise PydanticCustomError("record_handle", "Input should be a whole number, written in digits")
    return int(value)


RecordHandle = Annotated[
    Annotated[int, Field(ge=0, le=LARGEST_ID)],
    BeforeValidator(_handle),
    Path(alias="recordHandle", description="The handle of the outbound record.", examples=[13]),
]
# A header can be missing, but can't be null, so the OpenAPI schema is given by hand.
Account = Annotated[
    str | None,
    WithJsonSchema({"type": "string"}),
    Header(
        alias=ACCOUNT,
        description="The name of the bridge's account that forwards the operation. The default is the first account in "
        "the bridge's settings.",
    ),
]
Prefer = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "examples": ["wait=5", "respond-async"]}),
    Header(
        alias="Prefer",
        description="Preferences for the reply (RFC 7240). `wait=S`: reply when the acknowledgement has arrived, or "
        f"after S seconds (at most {LONGEST_WAIT}). `respond-async`: reply once the request is stored in Kafka, and "
        "forward the operation in the background. Both: store the request, then wait for the acknowledgement.",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "pattern": BARE_KEY}),
    Header(
        alias=IDEMPOTENCY_KEY,
        description="The referenceId, if the body has none. A repeated request with the same key is not forwarded "
        "again.",
    ),
]


def outbound_records(
    service: Operations, authentication: Authentication, enabled: Collection[str]
) -> tuple[APIRouter, Sequence[BaseRoute]]:
    """Make the router for callers with the scope operations:write. `enabled` has the allowed `operationName`s.

    Also returns the direct routes, which the application must have before all its other routes.
    """
    guard = guarded(authentication, WRITE)
    router = APIRouter(
        tags=["Outbound records"],
        dependencies=guard.dependencies,
        responses=_ACCEPTED | documented(*SUBMISSION, *guard.problems),
    )
    on_record, on_none = request_forms(enabled, with_handle=True), request_forms(enabled, with_handle=False)

    async def submit(http: Request, record_handle: int | None, forms: Forms) -> Response:
        headers = http.headers
        check_headers(headers)
        request = read_request(await strict_json(http), forms, enabled, headers)
        submission = Submission(
            headers.get(ACCOUNT), record_handle, request, http.state.caller.name, traceparent(headers)
        )
        http.state.reference_id = submission.reference_id  # for the error responses
        preferences = parse_prefer(headers.getlist("Prefer"))
        view = await (service.submit_async if preferences.respond_async else service.submit)(submission)
        if preferences.wait and view.pending:
            view = await _wait(service, submission.reference_id, preferences.wait, http)
        return outcome(view, preferences)

    # `submit` reads the headers. They are parameters here only for /openapi.json.
    @router.post(
        _BY_HANDLE,
        operation_id="submitByHandle",
        summary="Submit an operation on a record with a handle",
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
        """Forward the operation to Web Services. Accepted does not mean done. The acknowledgement follows later."""
        del account, prefer, idempotency_key
        return await submit(http, record_handle, on_record)

    @router.post(
        _BY_NUMBER,
        operation_id="submitWithoutHandle",
        summary="Submit an operation that names its record by phone number, or adds one",
        response_model=OperationReply,
        openapi_extra=_body(on_none.values()),
        include_in_schema=bool(on_none),
    )
    async def by_number(
        http: Request, account: Account = None, prefer: Prefer = None, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Forward the operation to Web Services. Accepted does not mean done. The acknowledgement follows later."""
        del account, prefer, idempotency_key
        return await submit(http, None, on_none)

    return router, [
        DirectRoute(_BY_HANDLE, "POST", guard, by_handle, _handle_in),
        DirectRoute(_BY_NUMBER, "POST", guard, by_number, dict),
    ]


def _handle_in(path: Mapping[str, str]) -> dict[str, int] | None:
    """Return the parameter of the endpoint, None if the record handle in the path is not valid."""
    handle = path["recordHandle"]
    if _DIGITS.fullmatch(handle) is None or int(handle) > LARGEST_ID:
        return None
    return {"record_handle": int(handle)}


async def _wait(service: Operations, reference_id: str, seconds: float, http: Request) -> OperationView:
    """Wait for the operation's end, but stop when the caller disconnects or the server stops."""
    waiting = asyncio.ensure_future(service.wait(reference_id, seconds))
    ending = asyncio.ensure_future(http.app.state.ending.wait())
    gone = asyncio.ensure_future(http.receive())  # the body has been read, so this returns when the caller disconnects
    try:
        await asyncio.wait({waiting, ending, gone}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else await service.wait(reference_id, 0)
    finally:
        for task in (waiting, ending, gone):
            task.cancel()
        await asyncio.wait({waiting, ending, gone})


def _body(forms: Collection[Any]) -> dict[str, Any]:
    """Describe the body for OpenAPI: one of the models in `forms`, with operationName as the discriminator."""
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


_APPLIED: Final = documented_header("The preferences that the bridge applied (RFC 7240).")
_LOCATION: Final = documented_header("The path of the operation's state.")


def _replies(status: int) -> dict[str, Any]:
    examples = {name: {"value": value} for name, value in REPLIES[status].items()}
    return {"application/json": {"examples": examples}}


_ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Web Services accepted the operation. With preferences: the operation is done and acknowledged.",
        "headers": {"Preference-Applied": _APPLIED},
        "content": _replies(200),
    },
    202: {
        "description": "The bridge accepted the operation, and its acknowledgement has not arrived yet.",
        "model": OperationReply,
        "headers": {"Preference-Applied": _APPLIED, "Location": _LOCATION},
        "content": _replies(202),
    },
}
