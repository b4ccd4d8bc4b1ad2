"""GET /asyncapi.json: the events that the bridge publishes, for those who read them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from bridge.contract import asyncapi


def events(topic_prefix: str) -> APIRouter:
    """Make the router; the document names the topics with that prefix."""
    router = APIRouter(tags=["Events"])
    document = asyncapi(topic_prefix)

    @router.get("/asyncapi.json", operation_id="getAsyncapi", summary="The published events, as an AsyncAPI document")
    async def get() -> dict[str, Any]:
        return document

    return router
