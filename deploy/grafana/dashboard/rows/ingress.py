"""The REST side: the requests of callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.grafana.dashboard.expressions import PROCESS, quantile, rate
from deploy.grafana.dashboard.panels import lines

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as model

CALLS: Final = f'route!~"/metrics|/health/.*", {PROCESS}'

INGRESS: Final[list[Builder[model.Panel]]] = [
    lines(
        "Requests by status",
        "REST requests of callers. Good: 200 and 202. Look into 5xx and 429. Other 4xx are callers' faults.",
        "reqps",
        (rate("bridge_http_request_seconds_count", "status", scope=CALLS), "{{status}}"),
    ),
    lines(
        "Requests by route",
        "Good: the callers' usual pattern.",
        "reqps",
        (rate("bridge_http_request_seconds_count", "method, route", scope=CALLS), "{{method}} {{route}}"),
    ),
    lines(
        "99th percentile by route",
        "Time that requests take, including the wait for the acknowledgement if the caller asked for it. Good: well "
        "under 1 s.",
        "s",
        (quantile(0.99, "bridge_http_request_seconds", "method, route", scope=CALLS), "{{method}} {{route}}"),
    ),
]
