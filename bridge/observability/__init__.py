"""Metrics, logs and traces. Of the bridge's own modules, this package imports only `bridge.errors`.

The module `tracing` is not imported here, because it loads OpenTelemetry's API and most commands don't need that API.
"""

from bridge.observability import metrics
from bridge.observability.logs import Masked, configure
from bridge.observability.printable import printable, printable_json
from bridge.observability.rates import INTERVAL, INTERVALS, Interval, Rates

__all__ = [
    "INTERVAL",
    "INTERVALS",
    "Interval",
    "Masked",
    "Rates",
    "configure",
    "metrics",
    "printable",
    "printable_json",
    "tracing",
]
