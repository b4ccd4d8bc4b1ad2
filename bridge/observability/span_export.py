"""Sends spans to a collector by OTLP over HTTP. Imported only if tracing is on, because it needs the extra `otel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

EXPORT_TIMEOUT: Final = 5.0
"""Longest time for a request that sends spans, in seconds."""


def exporter_to(endpoint: str) -> OTLPSpanExporter:
    """Return an exporter to a collector's base URL. Variables such as OTEL_EXPORTER_OTLP_HEADERS also configure it."""
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT)


def provider(exporter: SpanExporter, service: str, *, sample_ratio: float, version: str) -> TracerProvider:
    """Return a provider of spans. A background thread sends the spans with the exporter."""
    made = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
        resource=Resource.create({"service.name": service, "service.version": version}),
        shutdown_on_exit=False,
    )
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made
