"""This replica's membership of the group that holds the fleet together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from bridge.backoff import Backoff
from bridge.delivery import (
    KAFKA_FAILURES,
    GroupMember,
    count_slots,
    group_member,
    kafka_reason,
    position_topic,
)

if TYPE_CHECKING:
    from bridge.delivery import GroupPlan
    from bridge.settings import Kafka

GROUP: Final = "fleet"
LONGEST_PAUSE: Final = 3.0
"""Seconds between two attempts to join."""
log = structlog.get_logger(__name__)


def group_of(settings: Kafka) -> str:
    """The name of the fleet's group."""
    return f"{settings.topic_prefix}.{GROUP}"


class FleetMembership:
    """Takes part in the group for as long as `run` runs, whatever Kafka does; `plan` hears of each assignment."""

    def __init__(self, settings: Kafka, plan: GroupPlan) -> None:
        self._settings = settings
        self._plan = plan
        self._member: GroupMember | None = None
        self._backoff = Backoff(first=0.2, cap=LONGEST_PAUSE)
        self.failure: str | None = None
        """Why this replica could not take part when it last tried; None once it has an assignment."""

    async def run(self) -> None:
        """Take part for ever. At the cancellation the replica leaves politely, and its slots are given away at once."""
        while True:
            try:
                await count_slots(self._settings)  # creates the topic where it is missing
                async with group_member(
                    self._settings, group_of(self._settings), position_topic(self._settings), self._plan
                ) as self._member:
                    await self._member.run()
            except KAFKA_FAILURES as error:
                self._failed(kafka_reason(error))
            finally:
                self._member = None
            await asyncio.sleep(self._backoff.next_delay())

    def rejoin(self) -> None:
        """Have the slots divided again, soon: this replica's claim has changed."""
        if self._member is not None:
            self._member.rejoin()

    def joined(self) -> None:
        """Take note that an assignment has come: this replica is a member."""
        self._backoff.reset()
        if self.failure is not None:
            log.info("fleet-joined")
        self.failure = None

    def _failed(self, reason: str) -> None:
        if reason != self.failure:
            log.warning("fleet-not-joined", reason=reason, effect="the replica keeps what it owns, and tries again")
        self.failure = reason
