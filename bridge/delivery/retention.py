"""How long Kafka keeps the topics that prove what became of a request, and whether an archive is written.

`bridge evidence archive` commits its position to the consumer group `<prefix>.archive`. Kafka forgets such a position
after a while without a commit (`offsets.retention.minutes`, 7 days by default). So a position shows that an archive is
being written.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from bridge.delivery.client.connection import closed, connection
from bridge.delivery.client.failures import FAILURES, guarded
from bridge.delivery.client.topics import LASTING, MS_PER_DAY, topic_name
from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import TopicPartition

    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

FIVE_YEARS: Final = 1826
"""Days in five years. 16 CFR 310.5 asks for records of that time."""
INTERVAL: Final = 600.0
"""Seconds between two looks at the topics' settings."""
SOON: Final = 10.0
"""Seconds between two looks while Kafka is away or the topics do not exist yet."""


@dataclass(frozen=True, slots=True)
class TopicResource:
    """All settings of a topic, as `describe_configs` asks for them. aiokafka does not export its own class for this."""

    name: str
    resource_type: int = 2
    """Kafka's number for topics (org.apache.kafka.common.config.ConfigResource.Type)."""
    configs: None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the topics keep their records."""

    days: dict[str, float]
    """Days, by the topic's full name. Infinity means that Kafka deletes no record because of its age."""
    archived: bool
    """Whether an archive is being written."""

    @property
    def short(self) -> dict[str, float]:
        """The topics that keep their records for less than five years."""
        return {topic: days for topic, days in self.days.items() if days < FIVE_YEARS}

    @property
    def at_risk(self) -> bool:
        """Whether records may be lost before five years have passed."""
        return bool(self.short) and not self.archived


def archive_group(settings: Kafka) -> str:
    """Return the name of the consumer group with the archive's position."""
    return f"{settings.topic_prefix}.archive"


async def retention_of(settings: Kafka) -> Retention | None:
    """Return how long the existing topics keep their records, or None if the cluster does not say it.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached.
    """
    admin: Any = guarded(AIOKafkaAdminClient(**connection(settings)))
    try:
        async with asyncio.timeout(settings.request_timeout):
            await admin.start()
            names = [topic_name(settings, topic) for topic in LASTING]
            try:
                resources = [TopicResource(name) for name in names]
                days = dict(_days(await admin.describe_configs(resources)))
            except KafkaError:  # librdkafka's mock cluster has no such request
                return None
            archived = False
            with suppress(KafkaError):  # without the right on the group, no archive is known
                offsets = await admin.list_consumer_group_offsets(archive_group(settings))
                archived = any(one.offset >= 0 for one in offsets.values())
    finally:
        await closed(admin.close())
    return Retention(days, archived) if days else None


def _days(responses: list[Any]) -> list[tuple[str, float]]:
    found = []
    for response in responses:
        for code, _, _, name, entries in response.resources:
            values = {entry[0]: entry[1] for entry in entries}
            if code == 0 and "retention.ms" in values:
                kept = "delete" in (values.get("cleanup.policy") or "delete")
                limited = kept and int(values["retention.ms"]) >= 0
                found.append((name, int(values["retention.ms"]) / MS_PER_DAY if limited else math.inf))
    return found


async def note_archived(settings: Kafka, ends: Mapping[TopicPartition, int]) -> bool:
    """Commit the archive's position, so that others see that an archive is being written. Return whether it worked.

    It does not work without the Read right on the consumer group.
    """
    client: Any = guarded(
        AIOKafkaConsumer(**connection(settings), group_id=archive_group(settings), enable_auto_commit=False)
    )
    try:
        async with asyncio.timeout(settings.request_timeout):
            await client.start()
            client.assign(list(ends))
            await client.commit(dict(ends))
    except FAILURES as error:
        log.debug("archive-not-noted", error=type(error).__name__)
        return False
    finally:
        await closed(client.stop())
    return True


class RetentionWatch:
    """Keeps the metrics about retention up to date."""

    def __init__(self, settings: Kafka) -> None:
        self._settings = settings

    async def run(self) -> None:
        """Look at the topics' settings at intervals, until cancelled."""
        while True:
            found = None
            with suppress(*FAILURES):
                found = await retention_of(self._settings)
                if found is not None:
                    for topic, days in found.days.items():
                        metrics.topic_retention.labels(topic).set(days * MS_PER_DAY / 1000)
                    metrics.evidence_at_risk.set(found.at_risk)
            await asyncio.sleep(SOON if found is None else INTERVAL)
