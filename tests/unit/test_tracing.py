"""Spans, while tracing is off and while it is on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bridge.errors import UpstreamUnreachable
from bridge.observability import tracing
from bridge.observability.span_export import provider
from tests.unit.api import rest_side
from tests.unit.operation_parts import ScriptedUpstream, running, submission

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENT = f"00-{TRACE}-b7ad6b7169203331-01"
OPERATIONS = 200
SPANS = 8
"""Of one operation: request, upstream POST, the records of its events, the relay's turn; some more for good measure."""


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.use(provider(exporter, "test", sample_ratio=0, version="test"))
    yield exporter
    tracing.stop()


async def test_off_costs_next_to_nothing() -> None:
    """While tracing is off, all spans of an operation cost less than a twentieth of its own work."""
    async with running(ScriptedUpstream()) as service:
        began = time.process_time()
        for number in range(OPERATIONS):
            await service.submit(submission(str(number)))
        work = time.process_time() - began
    began = time.process_time()
    for _ in range(OPERATIONS * SPANS):
        with tracing.span("x", tracing.SpanKind.CLIENT, SENT) as span:
            span.set_attribute("a", 1)
            assert tracing.traceparent(span) is None
    assert time.process_time() - began < work / 20


def test_off_passes_a_trace_on() -> None:
    """While tracing is off a record gets the trace context of its cause, and none where there is none."""
    assert (tracing.publishing("t", SENT), tracing.publishing("t", None)) == (SENT, None)


def test_the_caller_decides_what_is_kept(exporter: InMemorySpanExporter) -> None:
    """A caller's sampled trace is kept whatever the ratio; its unsampled one, and our own at ratio 0, are not."""
    for parent, sampled in ((SENT, 1), (SENT[:-1] + "0", 0), (None, 0), ("nonsense", 0)):
        with tracing.span("x", tracing.SpanKind.SERVER, parent) as span:
            traceparent = tracing.traceparent(span)
            assert traceparent is not None
            assert int(traceparent[-2:], 16) & 1 == sampled
            assert (TRACE in traceparent) is (parent is not None and TRACE in parent)
    tracing.stop()
    assert len(exporter.get_finished_spans()) == 1


def test_a_failure_is_told_by_its_code(exporter: InMemorySpanExporter) -> None:
    """A span that an error ends has the error's code, never its text."""
    with pytest.raises(UpstreamUnreachable), tracing.span("x", tracing.SpanKind.CLIENT, SENT):
        raise UpstreamUnreachable("5550003001", sent=False)
    tracing.stop()
    [span] = exporter.get_finished_spans()
    assert (span.status.is_ok, dict(span.attributes or {})) == (False, {"error.type": "upstream-unreachable"})
    assert "5550003001" not in span.to_json()


async def test_the_framework_records_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """FastAPI makes no spans of its own, whose attributes would have the path, even with a global provider."""
    exporter = InMemorySpanExporter()
    everywhere = provider(exporter, "test", sample_ratio=1, version="test")
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: everywhere)
    async with rest_side() as api:
        assert (await api.post()).status == 200
    everywhere.force_flush()
    assert exporter.get_finished_spans() == ()
