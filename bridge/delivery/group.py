"""A member of a Kafka consumer group that only wants assignments: it reads no record and commits no offset."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener

from bridge.delivery.client.aiokafka_internals import GroupAssignor, tolerate_odd_members
from bridge.delivery.client.connection import connection, milliseconds
from bridge.delivery.client.consumer import close
from bridge.delivery.client.failures import guarded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from aiokafka import TopicPartition

    from bridge.delivery.client.aiokafka_internals import GroupPlan
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

SESSION_TIMEOUT: Final = 6.0
"""Seconds without a heartbeat after which the broker takes a member for dead. The broker's own minimum is 6 s."""
HEARTBEAT: Final = 1.0
"""Seconds between two heartbeats; their answers tell a member that others join or have left."""
REBALANCE_TIMEOUT: Final = 3.0
"""Seconds that a rebalance waits for a member that does not answer."""
POLL: Final = 0.5
"""Seconds of one poll. A member that does not poll leaves the group after five minutes (`max_poll_interval_ms`)."""
PROTOCOL: Final = "bridge-slots"
"""How the group's members call their way of dividing; all members must name the same."""
REQUEST_TIMEOUT: Final = 6.0
"""Seconds that an answer may take: longer than a rebalance, whose end the answer to a join waits for."""
LEAVE_TIMEOUT: Final = 3.0
"""Seconds that the goodbye may take, which waits for a rebalance that is under way."""
tolerate_odd_members()


class GroupMember(ConsumerRebalanceListener):  # type: ignore[misc]
    """Takes part in the group while `run` runs."""

    def __init__(self, client: AIOKafkaConsumer, topic: str) -> None:
        self._client = client
        self._topic = topic
        self._again = False

    async def run(self) -> None:
        """Take part for ever.

        Raises:
            aiokafka.errors.KafkaError, OSError: the group can't be taken part in now.
        """
        self._client.subscribe([self._topic], listener=self)
        while True:
            await self._client.getmany(timeout_ms=milliseconds(POLL))
            if self._again:
                self._again = False
                self._client.subscribe([self._topic], listener=self)

    def rejoin(self) -> None:
        """Have the group divided again, soon: what this member claims has changed."""
        self._again = True

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Read none of them."""
        self._client.pause(*assigned)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Do nothing: in a rebalance all are revoked, and most come back with the next assignment."""


@asynccontextmanager
async def group_member(settings: Kafka, group: str, topic: str, plan: GroupPlan) -> AsyncGenerator[GroupMember, None]:
    """A client that is ready to take part; it leaves the group politely at the end.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached.
    """
    consumer: Any = AIOKafkaConsumer(
        **(connection(settings) | {"request_timeout_ms": milliseconds(REQUEST_TIMEOUT)}),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="latest",
        check_crcs=settings.check_crcs,
        partition_assignment_strategy=[GroupAssignor(PROTOCOL, topic, plan)],
        session_timeout_ms=milliseconds(SESSION_TIMEOUT),
        heartbeat_interval_ms=milliseconds(HEARTBEAT),
        rebalance_timeout_ms=milliseconds(REBALANCE_TIMEOUT),
    )
    client: AIOKafkaConsumer = guarded(consumer)
    try:
        async with asyncio.timeout(settings.request_timeout):
            await client.start()
        yield GroupMember(client, topic)
    finally:
        await close(client, LEAVE_TIMEOUT)
