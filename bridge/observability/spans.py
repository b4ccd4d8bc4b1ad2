"""Spans by OpenTelemetry, sent by OTLP over HTTP. Loaded only where tracing is on: it needs the extra `otel`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Self

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bridge.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import SpanExporter

    from bridge.observability.tracing import Kind

SERVICE: Final = "cometd-kafka-bridge"
EXPORT_TIMEOUT: Final = 5.0
"""Seconds for one sending of spans."""
_KINDS: Final = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "internal": SpanKind.INTERNAL,
}
_W3C: Final = TraceContextTextMapPropagator()


def exporter_to(endpoint: str) -> OTLPSpanExporter:
    """Make the exporter to a collector's base URL; OTEL_EXPORTER_OTLP_HEADERS and its like add to it."""
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT)


class OpenTelemetrySpans:
    """The `Spans` of the real thing. It has a provider of its own and leaves the library's global one alone."""

    def __init__(self, exporter: SpanExporter, *, sample_ratio: float, version: str) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            resource=Resource.create({"service.name": SERVICE, "service.version": version}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE, version)

    def begin(self, name: str, kind: Kind, parent: str | None, links: Iterable[str | None]) -> OpenTelemetrySpan:
        """See `bridge.observability.tracing.begin`."""
        span = self._tracer.start_span(name, _context(parent), _KINDS[kind], links=list(_links(links)))
        return OpenTelemetrySpan(span)

    def stop(self, deadline: float) -> None:
        """Send what is left; a collector that hangs does not keep the process from ending."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(deadline)


class OpenTelemetrySpan:
    """See `bridge.observability.tracing.Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(span, Context()))
        self.traceparent: str | None = carrier.get("traceparent")

    def note(self, **attributes: str | int) -> None:
        """Add attributes."""
        for name, value in attributes.items():
            self._span.set_attribute(name.replace("__", "."), value)

    def end(self) -> None:
        """End it."""
        self._span.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            # Never the error's own text: it may quote what was sent.
            self.note(error__type=error.code if isinstance(error, BridgeError) else type(error).__name__)
            self._span.set_status(Status(StatusCode.ERROR))
        self.end()


def _context(traceparent: str | None) -> Context:
    """Take the cause from the traceparent alone, and ignore the task's current span."""
    return Context() if traceparent is None else _W3C.extract({"traceparent": traceparent}, Context())


def _links(traceparents: Iterable[str | None]) -> Iterator[Link]:
    for traceparent in traceparents:
        context = get_current_span(_context(traceparent)).get_span_context()
        if context.is_valid:
            yield Link(context)
