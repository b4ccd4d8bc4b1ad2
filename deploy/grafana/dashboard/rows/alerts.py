"""The alerts that fire, and the versions that run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.grafana.dashboard.expressions import PROCESS
from deploy.grafana.dashboard.panels import rows

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as model

ALERTS: Final[list[Builder[model.Panel]]] = [
    rows(
        "Alerts",
        "The bridge's alerts that fire or are pending. Good: empty. The runbook has a section for each alert.",
        ('ALERTS{alertname=~"Bridge.+"}', ""),
        without=("instance", "job"),
    ),
    rows(
        "Versions",
        "The version of each process. Good: one version, except during an update.",
        (f"bridge_build_info{{{PROCESS}}}", ""),
        without=(),
    ),
]
