"""GET /metrics, and the middleware that measures the duration of requests."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bridge.observability import metrics

if TYPE_CHECKING:
    from prometheus_client import Histogram
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
OTHER: Final = "other"


class RequestMetrics:
    """ASGI middleware that observes the duration of each request.

    The label is the route's template, such as `/operations/{reference_id}`, and not the path.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._series: dict[tuple[str, str, int], Histogram] = {}
        """The histogram for each route, method and status so far. To look one up by its labels takes much longer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and observe its duration when the response has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # if the application raises, the server answers with 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        start = perf_counter()
        try:
            await self._app(scope, receive, watched)
        finally:
            method = scope["method"] if scope["method"] in METHODS else OTHER
            route = getattr(scope.get("route"), "path_format", OTHER)
            series = self._series.get((route, method, status))
            if series is None:
                labelled = metrics.http_request.labels(route, method, str(status))
                series = self._series[route, method, status] = labelled
            series.observe(perf_counter() - start)


def metrics_page() -> APIRouter:
    """Make the router."""
    router = APIRouter(tags=["Metrics"])

    @router.get(
        "/metrics",
        operation_id="getMetrics",
        summary="Get the metrics in Prometheus' text format",
        response_class=PlainTextResponse,
    )
    async def get() -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router
