"""Liveness (the process responds) and readiness (CometD sessions and Kafka are connected)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from bridge.http.problems.problems import MEDIA_TYPE
from bridge.http.problems.types import TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Missing(BaseModel):
    """Something that the bridge needs and lacks now, for example its connection to Kafka."""

    name: str
    """A short and stable word, for example cometd, kafka or login."""
    reason: str
    account: str | None = None


class Note(BaseModel):
    """Something that a person should correct, although the bridge works without it."""

    name: str
    """A short and stable word, for example accounts-file."""
    reason: str


class Live(BaseModel):
    """The process responds."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """The bridge can forward operations and publish events."""

    status: Literal["ready"] = "ready"
    notes: list[Note] | None = None
    """Faults that a person should correct although the bridge is ready."""


class NotReady(BaseModel):
    """The bridge is not ready. A problem (RFC 9457) that names what is missing."""

    type: str = f"{TYPE}not-ready"
    title: str = "Service Unavailable"
    status: Literal[503] = 503
    code: Literal["not-ready"] = "not-ready"
    detail: str
    missing: list[Missing]
    notes: list[Note] | None = None
    """Other faults that a person should correct."""


def health(readiness: Callable[[], Sequence[Missing]], notes: Callable[[], Sequence[Note]]) -> APIRouter:
    """Make the router. `readiness` returns the missing things, and `notes` other faults. Neither function may block."""
    router = APIRouter(prefix="/health", tags=["Health"])

    @router.get("/live", operation_id="getLiveness", summary="Check whether the process responds")
    async def live() -> Live:
        return Live()

    @router.get(
        "/ready",
        operation_id="getReadiness",
        summary="Check whether the bridge is connected to all that it needs",
        response_model=Ready,
        responses={
            503: {
                "description": "The bridge lacks something that it needs.",
                "content": {MEDIA_TYPE: {"schema": {"$ref": _NOT_READY}}},
            }
        },
    )
    async def ready() -> Response:
        missing, wrong = list(readiness()), list(notes()) or None
        if not missing:
            return Response(Ready(notes=wrong).model_dump_json(exclude_none=True), media_type="application/json")
        detail = f"Missing: {', '.join(dict.fromkeys(one.name for one in missing))}."
        content = NotReady(detail=detail, missing=missing, notes=wrong).model_dump_json(exclude_none=True)
        return Response(content, 503, media_type=MEDIA_TYPE)

    return router


_NOT_READY = f"#/components/schemas/{NotReady.__name__}"
