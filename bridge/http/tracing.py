"""Middleware that makes a span for each submitted operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.observability import tracing

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TRACED: Final = "/api/"
"""Prefix of the paths that are traced. Requests of probes and Prometheus are not traced."""
HEADER: Final = b"traceparent"


class RequestTracing:
    """ASGI middleware that makes a span for each request, as a child of the caller's span if the caller sent one.

    The middleware replaces the request's header traceparent by that of the new span, so that the code that handles the
    request continues the trace.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on inside a span."""
        if scope["type"] != "http" or not scope["path"].startswith(TRACED):
            await self._app(scope, receive, send)
            return
        sent = next((value.decode("latin-1") for name, value in scope["headers"] if name == HEADER), None)
        with tracing.span(f"{scope['method']} {TRACED}", tracing.SpanKind.SERVER, sent) as span:
            headers = [pair for pair in scope["headers"] if pair[0] != HEADER]
            if (traceparent := tracing.traceparent(span)) is not None:
                headers.append((HEADER, traceparent.encode()))
            inner = {**scope, "headers": headers}

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(inner.get("route"), "path_format", TRACED)
                    span.set_attributes({"http.route": route, "http.response.status_code": message["status"]})
                await send(message)

            span.set_attribute("http.request.method", scope["method"])
            await self._app(inner, receive, watched)
