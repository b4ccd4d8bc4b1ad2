"""The processes of the bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.grafana.dashboard.expressions import BRIDGE
from deploy.grafana.dashboard.panels import RED, lines

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as model

PROCESSES: Final[list[Builder[model.Panel]]] = [
    lines(
        "CPU",
        "CPU cores in use. The relay can use one core. Good: well under 1.",
        "none",
        (f"rate(process_cpu_seconds_total[$__rate_interval]) * {BRIDGE}", "{{instance}}"),
        width=6,
        steps=((0.9, RED),),
    ),
    lines(
        "Memory",
        "Resident memory. Good: flat. A large reply after an outage raises it. The reply's size limits this step.",
        "bytes",
        (f"process_resident_memory_bytes * {BRIDGE}", "{{instance}}"),
        width=6,
    ),
    lines(
        "Open files",
        "Open files as a share of the process's limit. Good: flat, and far from 1.",
        "percentunit",
        (f"process_open_fds / process_max_fds * {BRIDGE}", "{{instance}}"),
        width=6,
        steps=((0.8, RED),),
    ),
    lines(
        "Running for",
        "Time since the process started. Good: it falls back to 0 only at a planned restart.",
        "s",
        (f"(time() - process_start_time_seconds) * {BRIDGE}", "{{instance}}"),
        width=6,
    ),
]
