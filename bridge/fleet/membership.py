"""This replica's membership of the fleet's Kafka consumer group."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from bridge.delivery import (
    KAFKA_FAILURES,
    GroupMember,
    count_slots,
    group_member,
    kafka_reason,
    position_topic,
)
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from bridge.delivery import GroupPlan
    from bridge.settings import Kafka

GROUP: Final = "fleet"
LONGEST_PAUSE: Final = 3.0
"""Limit in seconds for the delay between two attempts to join the group."""
log = structlog.get_logger(__name__)


def group_of(settings: Kafka) -> str:
    """Return the name of the fleet's consumer group."""
    return f"{settings.topic_prefix}.{GROUP}"


class FleetMembership:
    """Keeps this replica in the group during `run`, and joins again after failures. Calls `plan` in each rebalance."""

    def __init__(self, settings: Kafka, plan: GroupPlan, *, session_timeout: float) -> None:
        self._settings = settings
        self._session_timeout = session_timeout
        self._plan = plan
        self._member: GroupMember | None = None
        self._backoff = Backoff(first=0.2, cap=LONGEST_PAUSE)
        self.failure: str | None = None
        """The reason why the last attempt to join failed. None after `joined`, and before the first failure."""

    async def run(self) -> None:
        """Stay in the group until the cancellation.

        When `run` is cancelled, the replica tells Kafka that it leaves. So the other replicas get its slots at once,
        and not only after a time-out.
        """
        while True:
            try:
                await count_slots(self._settings)  # creates the topic if it is missing
                async with group_member(
                    self._settings,
                    group_of(self._settings),
                    position_topic(self._settings),
                    self._plan,
                    session_timeout=self._session_timeout,
                ) as self._member:
                    await self._member.run()
            except KAFKA_FAILURES as error:
                self._failed(kafka_reason(error))
            finally:
                self._member = None
            await asyncio.sleep(self._backoff.next_delay())

    def rejoin(self) -> None:
        """Make the group divide the slots again soon. Call this method when this replica's claim has changed."""
        if self._member is not None:
            self._member.rejoin()

    def joined(self) -> None:
        """Record that the group has sent an assignment, so this replica is a member."""
        self._backoff.reset()
        if self.failure is not None:
            log.info("fleet-joined")
        self.failure = None

    def _failed(self, reason: str) -> None:
        if reason != self.failure:
            log.warning("fleet-not-joined", reason=reason, effect="the replica keeps its slots and tries again to join")
        self.failure = reason
