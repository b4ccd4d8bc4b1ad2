"""The span of a REST request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.observability import tracing

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TRACED: Final = "/api/"
"""Where the paths of operations begin: what is asked for by probes and scrapers is no trace's business."""
HEADER: Final = b"traceparent"


class RequestTracing:
    """ASGI middleware: one span a request, of the caller's trace where it sent one.

    What comes after it finds the span in the request's `traceparent`, as if the caller had sent that.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, as part of its span."""
        if scope["type"] != "http" or not scope["path"].startswith(TRACED):
            await self._app(scope, receive, send)
            return
        sent = next((value.decode("latin-1") for name, value in scope["headers"] if name == HEADER), None)
        with tracing.begin(f"{scope['method']} {TRACED}", "server", sent) as span:
            headers = [pair for pair in scope["headers"] if pair[0] != HEADER]
            if span.traceparent is not None:
                headers.append((HEADER, span.traceparent.encode()))
            inner = {**scope, "headers": headers}

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(inner.get("route"), "path_format", TRACED)
                    span.note(http__route=route, http__response__status_code=message["status"])
                await send(message)

            span.note(http__request__method=scope["method"])
            await self._app(inner, receive, watched)
