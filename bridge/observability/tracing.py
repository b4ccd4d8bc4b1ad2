"""Creates the spans of traces. One trace leads from a REST call to the acknowledgement's record in Kafka.

Tracing is off until `start` is called. Functions take the parent span as a W3C `traceparent`, the form that callers and
Kafka records use. The current span of the task is ignored. Attributes contain only names and numbers: never a phone
number, a token or free text.
"""

from __future__ import annotations

import re
import threading
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bridge.errors import BridgeError, SettingsError, installation_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

__all__ = [
    "Span",
    "SpanKind",
    "begin",
    "begin_publishing",
    "on",
    "publishing",
    "span",
    "start",
    "stop",
    "traceparent",
    "use",
    "well_formed",
]

NAME: Final = "cometd-kafka-bridge"
STOP_DEADLINE: Final = 2.0
"""Seconds that `stop` waits for the last spans to be sent."""
_OFF: Final = nullcontext(INVALID_SPAN)
_W3C: Final = TraceContextTextMapPropagator()
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def start(endpoint: str, *, sample_ratio: float, version: str) -> None:
    """Switch tracing on and send spans to the OTLP/HTTP collector at the base URL `endpoint`.

    `sample_ratio` is the share of traces that is recorded, from 0 to 1. If a caller sends a `traceparent`, that header
    decides instead whether the trace is recorded.

    Raises:
        SettingsError: OpenTelemetry's SDK is not installed.
    """
    try:
        from bridge.observability import span_export  # noqa: PLC0415 -- an extra
    except ImportError:
        raise SettingsError([f"BRIDGE_TRACING__ENABLED: needs the extra `otel`; {installation_of('otel')}"]) from None
    use(span_export.provider(span_export.exporter_to(endpoint), NAME, sample_ratio=sample_ratio, version=version))


def use(provider: TracerProvider | None) -> None:
    """Create all further spans with this provider. None switches tracing off. The global provider does not change."""
    global _provider, _tracer  # noqa: PLW0603 -- global for the process, like the metrics
    _provider = provider
    _tracer = None if provider is None else provider.get_tracer(NAME)


def stop() -> None:
    """Switch tracing off and send the last spans. Waits at most `STOP_DEADLINE`, because a collector may hang."""
    provider = _provider
    use(None)
    if provider is not None:
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(STOP_DEADLINE)


def well_formed(sent: str | None) -> str | None:
    """Return a `traceparent` that a caller sent, or None if it is missing or malformed."""
    return sent if sent is not None and _TRACEPARENT.fullmatch(sent) else None


def on() -> bool:
    """Return whether tracing is on."""
    return _tracer is not None


def begin(name: str, kind: SpanKind, parent: str | None, *, links: Iterable[str | None] = ()) -> Span:
    """Begin a span that the caller must end. While tracing is off, the span does nothing.

    Args:
        name: the name, from a small set of names because collectors group traces by it.
        kind: the side of a call that the span describes.
        parent: the `traceparent` of the span's cause. None or a malformed `traceparent` begins a new trace.
        links: the `traceparent`s of spans that are related to this span but are not its cause.
    """
    if _tracer is None:
        return INVALID_SPAN
    linked = (get_current_span(_context(link)).get_span_context() for link in links)
    return _tracer.start_span(name, _context(parent), kind, links=[Link(one) for one in linked if one.is_valid])


def span(name: str, kind: SpanKind, parent: str | None) -> AbstractContextManager[Span]:
    """Begin a span that ends with the `with` block. If the block raises, the span gets the error's code or class."""
    return _OFF if _tracer is None else _ending(begin(name, kind, parent))


@contextmanager
def _ending(begun: Span) -> Iterator[Span]:
    try:
        yield begun
    except BaseException as error:
        # OpenTelemetry's own context manager would record the error's text, which may quote private data.
        begun.set_attribute("error.type", error.code if isinstance(error, BridgeError) else type(error).__name__)
        begun.set_status(StatusCode.ERROR)
        raise
    finally:
        begun.end()


def traceparent(of: Span) -> str | None:
    """Return the `traceparent` for children of the span, or None while tracing is off."""
    carrier: dict[str, str] = {}
    if of is not INVALID_SPAN:
        _W3C.inject(carrier, set_span_in_context(of, Context()))
    return carrier.get("traceparent")


def publishing(topic: str, parent: str | None) -> str | None:
    """Create a span for sending a record, with the cause `parent`. Return the record's `traceparent` header."""
    if _tracer is None:
        return parent
    sending = begin_publishing(topic, parent)
    sending.end()
    return traceparent(sending) or parent


def begin_publishing(topic: str, parent: str | None, *, links: Iterable[str | None] = ()) -> Span:
    """Begin a span for sending a record to Kafka. The caller must end the span."""
    sending = begin(f"publish {topic}", SpanKind.PRODUCER, parent, links=links)
    sending.set_attributes({"messaging.system": "kafka", "messaging.operation.type": "send"})
    return sending


def _context(traceparent: str | None) -> Context:
    return Context() if traceparent is None else _W3C.extract({"traceparent": traceparent}, Context())
