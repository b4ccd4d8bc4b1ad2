"""Metrics, logs and traces. Knows no other package."""

from bridge.observability import metrics, tracing
from bridge.observability.logs import configure
from bridge.observability.printable import printable, printable_json

__all__ = ["configure", "metrics", "printable", "printable_json", "tracing"]
