"""The operations: their outcomes, and the time until their acknowledgement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.grafana.dashboard.expressions import HERE, PROCESS, increase, quantile, rate
from deploy.grafana.dashboard.panels import RED, bars, buckets, lines

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as model

ACKNOWLEDGEMENT: Final = "bridge_operation_acknowledgement_seconds"

OPERATIONS: Final[list[Builder[model.Panel]]] = [
    lines(
        "Operations by outcome",
        "Operations by outcome. Good: accepted and acknowledged are equal. Rejected, failed and timed-out are near 0.",
        "ops",
        (rate("bridge_operations_total", "outcome"), "{{outcome}}"),
    ),
    buckets(
        "From acceptance to acknowledgement",
        "Time until Web Services acknowledged an operation. Good: under 1 s. Operations over 30 s timed out first.",
        ACKNOWLEDGEMENT,
    ),
    lines(
        "From acceptance to acknowledgement, quantiles",
        "Quantiles of the time from acceptance to acknowledgement. Good: the 99th percentile stays under the objective "
        "of 5 s.",
        "s",
        (quantile(0.5, ACKNOWLEDGEMENT), "p50"),
        (quantile(0.99, ACKNOWLEDGEMENT), "p99"),
        steps=((5, RED),),
    ),
    lines(
        "Operations pending",
        "Operations that wait for an acknowledgement. Good: falls back to 0. Each operation ends within the time-out.",
        "short",
        (f"max by (account) (bridge_operations_pending{{{HERE}}})", "{{account}}"),
    ),
    bars(
        "Requests tried again",
        "Requests that the bridge repeated because Web Services was not reached or did not answer. Good: none.",
        "short",
        (increase("bridge_operation_retries_total", "account"), "{{account}}"),
    ),
    bars(
        "Operation events not in Kafka",
        "Events of operations that wait for Kafka (waiting), that were lost because the bridge's memory was full "
        "(lost), or that are in Kafka but have no room in the view (left out). Good: 0.",
        "short",
        (f"sum by (instance) (bridge_operation_events_waiting{{{PROCESS}}})", "waiting {{instance}}"),
        ("job:bridge_operation_events_lost:increase1h", "lost in the last hour"),
        ("job:bridge_operation_events_left_out:increase1h", "left out in the last hour"),
    ),
]
