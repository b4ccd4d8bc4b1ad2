"""Metrics and logs. Knows no other package."""

from bridge.observability import metrics
from bridge.observability.logs import configure

__all__ = ["configure", "metrics"]
