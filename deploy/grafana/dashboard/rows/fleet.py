"""The fleet: which replica owns how many slots, and how slots move between replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.grafana.dashboard.expressions import HERE, PROCESS, increase
from deploy.grafana.dashboard.panels import bars, buckets, lines

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as model

FLEET: Final[list[Builder[model.Panel]]] = [
    lines(
        "Slots of each replica",
        "Number of slots that each replica owns. Good: equal, or one more at some replicas. 0 without a fleet.",
        "none",
        (f"bridge_fleet_slots_owned{{{PROCESS}}}", "{{instance}}"),
    ),
    lines(
        "Slots with an owner",
        "Slots of the fleet, and slots that a replica owns. Good: equal, except for some seconds in a takeover. Fewer "
        "owned: no replica relays the accounts of some slots. More owned: a replica does not know that it lost slots.",
        "none",
        ("job:bridge_fleet_slots:max", "all"),
        ("job:bridge_fleet_slots_owned:sum", "owned"),
    ),
    lines(
        "Replicas in the group",
        "Number of replicas in the fleet's group, as each replica knows it. Good: every replica knows the same number, "
        "and it is the number of running replicas.",
        "none",
        (f"instance:bridge_fleet_members:known{{{PROCESS}}}", "{{instance}}"),
        ("job:bridge_fleet_replicas:count", "running"),
    ),
    lines(
        "Connected accounts of each replica",
        "Number of accounts whose CometD session is connected, by replica. Good: about equal if there are many "
        "accounts.",
        "none",
        (f"sum by (instance) (bridge_cometd_connected{{{HERE}}})", "{{instance}}"),
    ),
    bars(
        "Handovers",
        "Slots that a replica took over, from another replica (rebalanced) or after that replica had left (orphaned), "
        "and slots that another process took from it (fenced). Good: only when a replica starts, stops or fails.",
        "short",
        (increase("bridge_fleet_handovers_total", "instance, reason", scope=PROCESS), "{{instance}} {{reason}}"),
    ),
    buckets(
        "From assignment to first reply",
        "Time that an account waits in a takeover, without the time until Kafka notices that a replica has died. Good: "
        "under 2 s. Over 4 s the death of a replica costs CometD sessions.",
        "bridge_fleet_takeover_seconds",
        scope=PROCESS,
    ),
]
