"""Membership of the fleet's group, on a real Kafka.

On the embedded broker the members must be processes of their own, because its leader blocks the event loop. See
tests/integration/test_fleet_embedded.py.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest_asyncio
from aiokafka import AIOKafkaClient, AIOKafkaConsumer

from bridge.delivery import may_join, position_topic
from bridge.delivery.client.aiokafka_internals.groups import GroupAssignor
from bridge.delivery.group import HEARTBEAT, PROTOCOL
from bridge.fleet.membership import FleetMembership, group_of
from bridge.settings import Kafka
from tests.real import KafkaServer
from tests.waiting import eventually


class Plan:
    """Gives everything to the member whose claim is the greatest, and tells each what it claimed."""

    def __init__(self, claim: bytes) -> None:
        self.said = claim
        self.partitions: list[int] | None = None
        self.heard: bytes | None = None
        self.assignments = 0

    def claim(self) -> bytes:
        return self.said

    def divide(
        self, partitions: int, members: Mapping[str, bytes | None]
    ) -> Mapping[str, tuple[Collection[int], bytes]]:
        first = max(members, key=lambda one: members[one] or b"")
        return {one: (range(partitions) if one == first else (), said or b"none") for one, said in members.items()}

    def assigned(self, partitions: Collection[int], data: bytes | None) -> None:
        self.partitions, self.heard = sorted(partitions), data
        self.assignments += 1


@asynccontextmanager
async def member(settings: Kafka, plan: Plan) -> AsyncIterator[FleetMembership]:
    one = FleetMembership(settings, plan, session_timeout=6)
    running = asyncio.ensure_future(one.run())
    try:
        yield one
    finally:
        running.cancel()
        await asyncio.wait([running])


class OddAssignor(GroupAssignor):
    """Joins with bytes that are no subscription."""

    def metadata(self, topics: object) -> Any:
        del topics
        return b"\xff\xff"


class TestMembership:
    """With a prefix of its own, and four slots."""

    @pytest_asyncio.fixture
    async def settings(self, real_kafka: KafkaServer) -> AsyncIterator[Kafka]:
        prefix = f"t{uuid.uuid4().hex[:12]}"
        yield Kafka(bootstrap_servers=real_kafka.bootstrap, topic_prefix=prefix, slots=4)
        await real_kafka.delete_topics(prefix)

    async def test_the_leader_divides_by_what_each_member_says(self, settings: Kafka) -> None:
        """Each member hears its own share, and what the leader sent along."""
        low, high = Plan(b"a"), Plan(b"b")
        async with member(settings, low), member(settings, high):
            await eventually(lambda: (low.partitions, high.partitions) == ([], [0, 1, 2, 3]), within=20)
            assert (low.heard, high.heard) == (b"a", b"b")

    async def test_a_member_that_leaves_is_gone_at_once(self, settings: Kafka) -> None:
        """A polite leave gives the partitions away without waiting for the session time-out."""
        low, high = Plan(b"a"), Plan(b"b")
        async with member(settings, low):
            async with member(settings, high):
                await eventually(lambda: high.partitions == [0, 1, 2, 3], within=20)
            await eventually(lambda: low.partitions == [0, 1, 2, 3], within=4)

    async def test_the_check_of_the_right_disturbs_no_member(self, settings: Kafka) -> None:
        """`may_join` joins nothing: the group does not divide its partitions again, and a new group stays unknown."""
        plan = Plan(b"a")
        client = AIOKafkaClient(bootstrap_servers=settings.bootstrap_servers)
        await client.bootstrap()
        try:
            async with member(settings, plan):
                await eventually(lambda: plan.assignments, within=20)
                before = plan.assignments
                for _ in range(3):
                    assert await may_join(client, group_of(settings))
                await asyncio.sleep(3 * HEARTBEAT)  # a member learns of a rebalance from the reply to a heartbeat
                assert plan.assignments == before
            assert await may_join(client, f"{settings.topic_prefix}.unknown")
        finally:
            await client.close()

    async def test_a_changed_claim_is_heard(self, settings: Kafka) -> None:
        """A member that joins again has its new claim counted."""
        low, high = Plan(b"a"), Plan(b"b")
        async with member(settings, low) as changing, member(settings, high):
            await eventually(lambda: high.partitions == [0, 1, 2, 3], within=20)
            low.said = b"c"
            changing.rejoin()
            await eventually(lambda: (low.partitions, high.partitions) == ([0, 1, 2, 3], []), within=20)

    async def test_a_member_whose_subscription_is_odd_counts_as_one_that_said_nothing(self, settings: Kafka) -> None:
        """A client that joins with bytes which can't be read does not stop the group from being divided."""
        plan, topic = Plan(b"a"), position_topic(settings)
        odd = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap_servers,
            group_id=group_of(settings),
            partition_assignment_strategy=[OddAssignor(PROTOCOL, topic, Plan(b""))],
        )
        async with member(settings, plan):
            await eventually(lambda: plan.assignments, within=20)
            before = plan.assignments
            await odd.start()
            try:
                odd.subscribe([topic])
                await eventually(lambda: plan.assignments > before, within=20)
                assert plan.partitions == [0, 1, 2, 3]
            finally:
                await odd.stop()
