"""Puts the dashboard together from its rows."""

from __future__ import annotations

import json
from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.dashboard.expressions import HERE
from deploy.grafana.dashboard.panels import PROMETHEUS, RED
from deploy.grafana.dashboard.rows.alerts import ALERTS
from deploy.grafana.dashboard.rows.fleet import FLEET
from deploy.grafana.dashboard.rows.flow import FLOW
from deploy.grafana.dashboard.rows.ingress import INGRESS
from deploy.grafana.dashboard.rows.kafka import KAFKA
from deploy.grafana.dashboard.rows.operations import OPERATIONS
from deploy.grafana.dashboard.rows.processes import PROCESSES
from deploy.grafana.dashboard.rows.requests import REQUESTS
from deploy.grafana.dashboard.rows.sessions import SESSIONS

ROWS: Final = {
    "Is it flowing": FLOW,
    "Sessions, holds and gaps": SESSIONS,
    "Operations": OPERATIONS,
    "Kafka": KAFKA,
    "Fleet": FLEET,
    "REST ingress": INGRESS,
    "Requests by Kafka": REQUESTS,
    "Process": PROCESSES,
    "Alerts and versions": ALERTS,
}


def build() -> model.Dashboard:
    """Put the dashboard together."""
    board = (
        dashboard.Dashboard("CometD to Kafka bridge")
        .uid("cometd-kafka-bridge")
        .description("Shows whether Web Services' events and acknowledgements reach Kafka, and what prevents it.")
        .tags(["bridge", "cometd", "kafka"])
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_choice("account", "Account", "label_values(bridge_cometd_connected, account)"))
        .with_variable(_choice("instance", "Instance", "label_values(bridge_build_info, instance)"))
        .annotation(
            dashboard.AnnotationQuery()
            .name("Gaps")
            .datasource(PROMETHEUS)
            .enable(True)  # noqa: FBT003 -- the builder's own
            .icon_color(RED)
            .expr(f"sum by (account) (increase(bridge_cometd_gaps_total{{{HERE}}}[$__rate_interval])) > 0")
        )
    )
    for title, panels in ROWS.items():
        board.with_row(dashboard.Row(title))
        for one in panels:
            board.with_panel(one)
    whole = board.build()
    for identity, panel in enumerate(whole.panels or [], start=1):
        panel.id_val = identity
    return whole


def _choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query({"query": query, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)  # noqa: FBT003 -- the builder's own
        .include_all(True)  # noqa: FBT003 -- the builder's own
        .all_value(".*")
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def text() -> str:
    """Render the dashboard as Grafana reads it."""
    return json.dumps(build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
