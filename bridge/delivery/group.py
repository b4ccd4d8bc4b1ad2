"""A member of a Kafka consumer group that only needs the assignments. It reads no record and commits no offset."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener

from bridge.delivery.client.aiokafka_internals.groups import GroupAssignor, tolerate_odd_members
from bridge.delivery.client.connection import closed, connection, milliseconds
from bridge.delivery.client.failures import guarded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping

    from aiokafka import TopicPartition

    from bridge.delivery.client.aiokafka_internals.groups import GroupPlan
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

HEARTBEAT: Final = 1.0
"""Seconds between two heartbeats. A member learns of a rebalance from the broker's reply to a heartbeat."""
REBALANCE_TIMEOUT: Final = 3.0
"""Seconds that the broker waits in a rebalance until a member joins again. Then it removes the member."""
POLL: Final = 0.5
"""Seconds that one poll takes. A member that does not poll for five minutes leaves (`max_poll_interval_ms`)."""
PROTOCOL: Final = "bridge-slots"
"""The name of the group's assignment protocol (Kafka: assignor). All members must use the same name."""
REQUEST_TIMEOUT: Final = 6.0
"""Deadline for a request in seconds. It is longer than a rebalance, because a join is answered only after that."""
LEAVE_TIMEOUT: Final = 3.0
"""Deadline for leaving the group, in seconds. Before it leaves, a member waits for the end of a rebalance."""
EMBEDDED_PAUSE: Final = 0.5
"""Seconds that the leader of a group on the embedded broker waits before it sends the assignments."""
tolerate_odd_members()


class GroupMember(ConsumerRebalanceListener):  # type: ignore[misc]
    """A member of the group while `run` runs."""

    def __init__(self, client: AIOKafkaConsumer, topic: str) -> None:
        self._client = client
        self._topic = topic
        self._again = False

    async def run(self) -> None:
        """Join the group, and stay a member until the cancellation.

        Raises:
            aiokafka.errors.KafkaError, OSError: Kafka refuses the member, or can't be reached.
        """
        self._client.subscribe([self._topic], listener=self)
        while True:
            await self._client.getmany(timeout_ms=milliseconds(POLL))
            if self._again:
                self._again = False
                self._client.subscribe([self._topic], listener=self)

    def rejoin(self) -> None:
        """Start a rebalance soon, because the claim of this member has changed."""
        self._again = True

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Pause the partitions, because the member must not read records."""
        self._client.pause(*assigned)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Do nothing. A rebalance revokes all partitions, and the next assignment returns most of them."""


class _EmbeddedBrokerAssignor(GroupAssignor):
    """Gives the other members time to send their SyncGroup requests before the leader sends its own.

    librdkafka's mock cluster ends a rebalance when the leader's request arrives, because it counts the assignments and
    not the requests (`rd_kafka_mock_cgrp_classic_sync_check`). It refuses later requests, and a refused member starts
    the next rebalance. A real broker keeps the assignments for late members. aiokafka calls `assign` synchronously, so
    the pause blocks the event loop.
    """

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        if len(members) > 1:
            time.sleep(EMBEDDED_PAUSE)
        return super().assign(cluster, members)


@asynccontextmanager
async def group_member(
    settings: Kafka, group: str, topic: str, plan: GroupPlan, *, session_timeout: float
) -> AsyncGenerator[GroupMember, None]:
    """Yield a member that can join the group. At the end of the block the member leaves the group.

    `session_timeout` is the number of seconds without a heartbeat after which the broker removes the member.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached.
    """
    assignor = GroupAssignor if settings.check_crcs else _EmbeddedBrokerAssignor
    consumer: Any = AIOKafkaConsumer(
        **(connection(settings) | {"request_timeout_ms": milliseconds(REQUEST_TIMEOUT)}),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="latest",
        check_crcs=settings.check_crcs,
        partition_assignment_strategy=[assignor(PROTOCOL, topic, plan)],
        session_timeout_ms=milliseconds(session_timeout),
        heartbeat_interval_ms=milliseconds(HEARTBEAT),
        rebalance_timeout_ms=milliseconds(REBALANCE_TIMEOUT),
    )
    client: AIOKafkaConsumer = guarded(consumer)
    try:
        async with asyncio.timeout(settings.request_timeout):
            await client.start()
        yield GroupMember(client, topic)
    finally:
        await closed(client.stop(), LEAVE_TIMEOUT)
