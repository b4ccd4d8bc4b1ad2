"""Liveness (the loop turns) and readiness (everything that the bridge needs is there)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from bridge.http.problems.problems import MEDIA_TYPE
from bridge.http.problems.types import TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Missing(BaseModel):
    """One thing that the bridge needs and does not have now."""

    name: str
    """Short and stable: cometd, kafka, login..."""
    reason: str
    account: str | None = None


class Live(BaseModel):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """Operations and events can flow."""

    status: Literal["ready"] = "ready"


class NotReady(BaseModel):
    """What is missing, as a problem (RFC 9457)."""

    type: str = f"{TYPE}not-ready"
    title: str = "Service Unavailable"
    status: Literal[503] = 503
    code: Literal["not-ready"] = "not-ready"
    detail: str
    missing: list[Missing]


def health(readiness: Callable[[], Sequence[Missing]]) -> APIRouter:
    """Make the router; `readiness` tells what is missing, and must not wait."""
    router = APIRouter(prefix="/health", tags=["Health"])

    @router.get("/live", operation_id="getLiveness", summary="Whether the process answers")
    async def live() -> Live:
        return Live()

    @router.get(
        "/ready",
        operation_id="getReadiness",
        summary="Whether everything that the bridge needs is there",
        response_model=Ready,
        responses={
            503: {"description": "Something is missing.", "content": {MEDIA_TYPE: {"schema": {"$ref": _NOT_READY}}}}
        },
    )
    async def ready() -> Response:
        missing = list(readiness())
        if not missing:
            return Response(Ready().model_dump_json(), media_type="application/json")
        detail = f"Missing: {', '.join(dict.fromkeys(one.name for one in missing))}."
        content = NotReady(detail=detail, missing=missing).model_dump_json(exclude_none=True)
        return Response(content, 503, media_type=MEDIA_TYPE)

    return router


_NOT_READY = f"#/components/schemas/{NotReady.__name__}"
