"""The fleet: replicas of the bridge that divide the accounts among themselves, as one Kafka consumer group.

The unit of division is the slot: a partition of the position topic `bridge-state`, with the accounts that hash to it.
"""

from bridge.fleet.fleet import Accounts, Fleet
from bridge.fleet.membership import group_of as fleet_group
from bridge.fleet.relay_tasks import RelayTasks

__all__ = ["Accounts", "Fleet", "RelayTasks", "fleet_group"]
