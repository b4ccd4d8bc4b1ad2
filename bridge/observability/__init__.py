"""Metrics, logs and traces. Knows no other package.

`tracing` is imported by those who ask for it: it loads OpenTelemetry's API, which most commands don't need.
"""

from bridge.observability import metrics
from bridge.observability.logs import configure
from bridge.observability.printable import printable, printable_json

__all__ = ["configure", "metrics", "printable", "printable_json", "tracing"]
