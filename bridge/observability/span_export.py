"""How spans leave the process: by OTLP over HTTP. Loaded only where tracing is on, for it needs the extra `otel`."""

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
"""Seconds for one sending of spans."""


def exporter_to(endpoint: str) -> OTLPSpanExporter:
    """Make the exporter to a collector's base URL; OTEL_EXPORTER_OTLP_HEADERS and its like add to it."""
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT)


def provider(exporter: SpanExporter, service: str, *, sample_ratio: float, version: str) -> TracerProvider:
    """Make what makes spans and hands them to the exporter, in the background."""
    made = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
        resource=Resource.create({"service.name": service, "service.version": version}),
        shutdown_on_exit=False,
    )
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made
