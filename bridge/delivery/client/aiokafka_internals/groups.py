"""Consumer groups: the user data of members, how a group divides partitions, and the right to join."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from aiokafka.consumer import group_coordinator
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocol,
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)
from aiokafka.protocol.group import HeartbeatRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from aiokafka import AIOKafkaClient


async def no_heartbeat(client: AIOKafkaClient, group: str) -> int:
    """Send the heartbeat of a member that never joined the consumer group. Return Kafka's error code.

    Private part: `aiokafka.protocol.group.HeartbeatRequest`. A public consumer would join the group, which makes the
    members of a fleet divide their slots again. If the class changes, `bridge check` can't find out in advance whether
    the bridge may join the group.
    """
    code: int = (await client.send(client.get_random_node(), HeartbeatRequest(group, -1, ""))).error_code
    return code


class GroupPlan(Protocol):
    """Writes and reads the user data of a consumer group, and divides the partitions among its members.

    Each method must catch its own errors.
    """

    def claim(self) -> bytes:
        """Return the user data with which this member joins the group."""
        ...

    def divide(
        self, partitions: int, members: Mapping[str, bytes | None]
    ) -> Mapping[str, tuple[Collection[int], bytes]]:
        """Return the partitions and the user data for each member. Only the leader of the group calls this.

        `members` contains the user data of each member's claim, or None for a member that has not subscribed the topic.
        """
        ...

    def assigned(self, partitions: Collection[int], data: bytes | None) -> None:
        """Handle the assignment for this member: its partitions, and the user data from the leader."""


class GroupAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """Lets a `GroupPlan` divide the partitions of one topic.

    Private part: `AbstractPartitionAssignor`, and the structs of `aiokafka.coordinator.protocol` in its arguments and
    results. A consumer's public listener has no access to user data. If the structs change, the replicas of a fleet
    don't receive each other's claims, and each rebalance moves slots without need.
    """

    name: str = ""

    def __init__(self, name: str, topic: str, plan: GroupPlan) -> None:
        self.name = name
        self._topic = topic
        self._plan = plan

    def metadata(self, topics: Iterable[str]) -> Any:
        """Return the subscription, with the claim as its user data. aiokafka calls this method for each join."""
        return ConsumerProtocolMemberMetadata(PROTOCOL_VERSION, list(topics), self._plan.claim())

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """Return the assignment of each member. aiokafka calls this if the consumer is the leader of the group."""
        said = {one: that.user_data if self._topic in that.subscription else None for one, that in members.items()}
        shares = self._plan.divide(len(cluster.partitions_for_topic(self._topic) or ()), said)
        return {
            member: ConsumerProtocolMemberAssignment(
                PROTOCOL_VERSION, [(self._topic, list(partitions))] if partitions else [], data
            )
            for member, (partitions, data) in shares.items()
        }

    def on_assignment(self, assignment: Any) -> None:
        """Pass the assignment of this member to the plan. aiokafka calls this at the end of each rebalance."""
        partitions = [one.partition for one in assignment.partitions() if one.topic == self._topic]
        self._plan.assigned(partitions, assignment.user_data)


PROTOCOL_VERSION: Final = 0
"""In version 0 a subscription contains only topics and user data (Kafka's `ConsumerProtocolSubscription`)."""


class _TolerantMetadata(ConsumerProtocolMemberMetadata):  # type: ignore[misc]
    @classmethod
    def decode(cls, data: Any) -> Any:
        try:
            return super().decode(data)
        except Exception:  # noqa: BLE001 -- the parser raises many kinds; the cause lies in the bytes
            return ConsumerProtocolMemberMetadata(PROTOCOL_VERSION, [], b"")


class _TolerantProtocol(ConsumerProtocol):  # type: ignore[misc]
    METADATA = _TolerantMetadata


def tolerate_odd_members() -> None:
    """Make a group's leader treat a member with an unreadable subscription like a member without subscriptions.

    Private part: the name `ConsumerProtocol` in `aiokafka.consumer.group_coordinator`. Without this function, a member
    with an unreadable subscription makes every rebalance fail in aiokafka's leader. If aiokafka uses the class under
    another name, a client that joins the group with invalid bytes prevents all takeovers of slots.
    """
    group_coordinator.ConsumerProtocol = _TolerantProtocol
