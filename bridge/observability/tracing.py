"""Spans: one trace from a REST call to the acknowledgement's record on Kafka. Off unless `start` was called.

Nothing but the module that it loads then, `bridge.observability.spans`, knows the tracing library. A trace goes from
part to part as a W3C `traceparent`, which is what callers send and Kafka's records carry. Attributes hold names and
numbers only: never a phone number, a token or free text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, Self, TypeAlias

from bridge.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

Kind: TypeAlias = Literal["server", "client", "producer", "internal"]
STOP_DEADLINE: Final = 2.0
"""Seconds that the last spans have to be sent at a planned stop."""


class Span(Protocol):
    """Something that takes time; as a context manager it ends with its block, and notes what the block raised."""

    traceparent: str | None
    """The W3C trace context of what it causes; None while tracing is off."""

    def note(self, **attributes: str | int) -> None:
        """Add attributes, `__` in a name standing for a dot."""

    def end(self) -> None:
        """Take note that it is over."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Spans(Protocol):
    """What makes spans: `bridge.observability.spans`."""

    def begin(self, name: str, kind: Kind, parent: str | None, links: Iterable[str | None]) -> Span:
        """See `begin` below."""
        ...

    def stop(self, deadline: float) -> None:
        """Send what is left, within `deadline` seconds."""


class _Off:
    """Every span, while tracing is off."""

    traceparent: str | None = None

    def note(self, **attributes: str | int) -> None:
        pass

    def end(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


_OFF: Final = _Off()
_spans: Spans | None = None


def start(endpoint: str, *, sample_ratio: float, version: str) -> None:
    """Make spans from now on, and send them to an OTLP/HTTP collector at the base URL `endpoint`.

    `sample_ratio` is the share of traces that is kept, of those that no caller has decided on already.

    Raises:
        SettingsError: the library is not installed.
    """
    try:
        from bridge.observability import spans  # noqa: PLC0415 -- an extra
    except ImportError:
        raise SettingsError(
            ["BRIDGE_TRACING__ENABLED: needs what `pip install 'cometd-kafka-bridge[otel]'` installs"]
        ) from None
    use(spans.OpenTelemetrySpans(spans.exporter_to(endpoint), sample_ratio=sample_ratio, version=version))


def use(spans: Spans | None) -> None:
    """Have spans made by this; None: by nothing."""
    global _spans  # noqa: PLW0603 -- one for the process, as the metrics are
    _spans = spans


def stop() -> None:
    """Send what is left, and make no more."""
    spans = _spans
    use(None)
    if spans is not None:
        spans.stop(STOP_DEADLINE)


def on() -> bool:
    """Whether spans are made."""
    return _spans is not None


def begin(name: str, kind: Kind, parent: str | None, *, links: Iterable[str | None] = ()) -> Span:
    """Begin a span.

    Args:
        name: of few values; it is what traces are grouped by.
        kind: on which side of a call it stands.
        parent: the `traceparent` of its cause; None, or a malformed one, begins a trace.
        links: the `traceparent`s of what it has to do with, without being caused by it.
    """
    return _OFF if _spans is None else _spans.begin(name, kind, parent, links)


def publishing(topic: str, parent: str | None) -> str | None:
    """Note the sending of a record that `parent` caused; return what its `traceparent` header should say."""
    if _spans is None:
        return parent
    with begin(f"publish {topic}", "producer", parent) as span:
        span.note(messaging__system="kafka", messaging__operation__type="send")
    return span.traceparent
