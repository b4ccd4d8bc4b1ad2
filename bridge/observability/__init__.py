"""Metrics, logs and traces. Knows no other package."""

from bridge.observability import metrics, tracing
from bridge.observability.logs import configure

__all__ = ["configure", "metrics", "tracing"]
