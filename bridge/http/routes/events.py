"""GET /asyncapi.json: describes the Kafka topics and events, for the developers of consumers."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import APIRouter

from bridge.contract import asyncapi


def events(topic_prefix: str) -> APIRouter:
    """Make the router. `topic_prefix` is the prefix of the topics in the document."""
    router = APIRouter(tags=["Events"])
    document = cache(asyncapi)  # made at the first request, because it would make each start longer

    @router.get(
        "/asyncapi.json", operation_id="getAsyncapi", summary="Get the AsyncAPI document of the published events"
    )
    async def get() -> dict[str, Any]:
        return document(topic_prefix)

    return router
