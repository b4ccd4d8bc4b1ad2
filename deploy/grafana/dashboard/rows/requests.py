"""Requests by Kafka: the records of the request topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.grafana.dashboard.expressions import PROCESS, rate
from deploy.grafana.dashboard.panels import lines

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as model

REQUESTS: Final[list[Builder[model.Panel]]] = [
    lines(
        "Requests by result",
        "Records of the request topic. Good: only accepted. Rejected ones are invalid, and are dead letters. Repeated "
        "ones appear after a restart or a rebalance, or if a sender repeats a referenceId.",
        "reqps",
        (rate("bridge_requests_total", "result", scope=PROCESS), "{{result}}"),
    ),
    lines(
        "Requests that wait",
        "Records of the request topic that are not committed yet. Good: near 0, or falling after a list was sent.",
        "short",
        (f"sum by (instance) (bridge_requests_lag{{{PROCESS}}})", "{{instance}}"),
    ),
    lines(
        "Reading paused",
        "1 while a replica does not read the request topic, by reason. Good: 0. The reason busy is normal while many "
        "requests are under way.",
        "short",
        (f"max by (instance, reason) (bridge_requests_paused{{{PROCESS}}})", "{{reason}} {{instance}}"),
    ),
]
