"""Spans: one trace from a REST call to the acknowledgement's record on Kafka. Off unless `start` was called.

A trace goes from part to part as a W3C `traceparent`, which is what callers send and what Kafka's records carry; the
task's current span is not used. Attributes hold names and numbers only: never a phone number, a token or free text.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bridge.errors import BridgeError, SettingsError

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
]

NAME: Final = "cometd-kafka-bridge"
STOP_DEADLINE: Final = 2.0
"""Seconds that the last spans have to be sent at a planned stop."""
_OFF: Final = nullcontext(INVALID_SPAN)
_W3C: Final = TraceContextTextMapPropagator()
_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def start(endpoint: str, *, sample_ratio: float, version: str) -> None:
    """Make spans from now on, and send them to an OTLP/HTTP collector at the base URL `endpoint`.

    `sample_ratio` is the share of traces that is kept, of those that no caller has decided on already.

    Raises:
        SettingsError: OpenTelemetry's SDK is not installed.
    """
    try:
        from bridge.observability import span_export  # noqa: PLC0415 -- an extra
    except ImportError:
        raise SettingsError(
            ["BRIDGE_TRACING__ENABLED: needs what `pip install 'cometd-kafka-bridge[otel]'` installs"]
        ) from None
    use(span_export.provider(span_export.exporter_to(endpoint), NAME, sample_ratio=sample_ratio, version=version))


def use(provider: TracerProvider | None) -> None:
    """Let this provider make the spans; None: make none. OpenTelemetry's global provider is left alone."""
    global _provider, _tracer  # noqa: PLW0603 -- one for the process, as the metrics are
    _provider = provider
    _tracer = None if provider is None else provider.get_tracer(NAME)


def stop() -> None:
    """Make no more spans, and send the last ones; a collector that hangs does not keep the process from ending."""
    provider = _provider
    use(None)
    if provider is not None:
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(STOP_DEADLINE)


def on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def begin(name: str, kind: SpanKind, parent: str | None, *, links: Iterable[str | None] = ()) -> Span:
    """Begin a span, which the caller ends. While tracing is off, it is one that does nothing.

    Args:
        name: of few values; traces are grouped by it.
        kind: on which side of a call it stands.
        parent: the `traceparent` of its cause; None, or a malformed one, begins a trace.
        links: the `traceparent`s of spans that belong to this one without having caused it.
    """
    if _tracer is None:
        return INVALID_SPAN
    linked = (get_current_span(_context(link)).get_span_context() for link in links)
    return _tracer.start_span(name, _context(parent), kind, links=[Link(one) for one in linked if one.is_valid])


def span(name: str, kind: SpanKind, parent: str | None) -> AbstractContextManager[Span]:
    """Begin a span that ends with its block. What the block raises is noted by its code."""
    return _OFF if _tracer is None else _ending(begin(name, kind, parent))


@contextmanager
def _ending(begun: Span) -> Iterator[Span]:
    try:
        yield begun
    except BaseException as error:
        # Not OpenTelemetry's own context manager: it notes the error's text, which may quote what was sent.
        begun.set_attribute("error.type", error.code if isinstance(error, BridgeError) else type(error).__name__)
        begun.set_status(StatusCode.ERROR)
        raise
    finally:
        begun.end()


def traceparent(of: Span) -> str | None:
    """Return the W3C trace context of what the span causes; None while tracing is off."""
    carrier: dict[str, str] = {}
    if of is not INVALID_SPAN:
        _W3C.inject(carrier, set_span_in_context(of, Context()))
    return carrier.get("traceparent")


def publishing(topic: str, parent: str | None) -> str | None:
    """Note the sending of a record that `parent` caused; return what its `traceparent` header should say."""
    sending = begin_publishing(topic, parent)
    sending.end()
    return traceparent(sending) or parent


def begin_publishing(topic: str, parent: str | None, *, links: Iterable[str | None] = ()) -> Span:
    """Begin the span of a record's way to Kafka."""
    sending = begin(f"publish {topic}", SpanKind.PRODUCER, parent, links=links)
    sending.set_attributes({"messaging.system": "kafka", "messaging.operation.type": "send"})
    return sending


def _context(traceparent: str | None) -> Context:
    return Context() if traceparent is None else _W3C.extract({"traceparent": traceparent}, Context())
