"""The names of the bridge's topics and transactional ids, and the creation of missing topics."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    NoError,
    TopicAlreadyExistsError,
    for_code,
)

from bridge.delivery.client.aiokafka_internals.metadata import create_on_first_use
from bridge.delivery.client.connection import closed, connection
from bridge.delivery.client.failures import guarded
from bridge.delivery.client.partition import partition_of
from bridge.events import TOPICS, acknowledgement, full_topic, operation, session, user_event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

POSITION_TOPIC: Final = "bridge-state"
IDS_OF_A_SLOT: Final = 2
POSITION_CONFIGS: Final = {
    "cleanup.policy": "compact",
    # Small segments and eager compaction keep this topic short, because each start reads its tail.
    "segment.bytes": str(1 << 20),
    "segment.ms": "3600000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "3600000",
}
OPERATIONS_CONFIGS: Final = {"cleanup.policy": "compact,delete"}
LASTING: Final = (acknowledgement.TOPIC, user_event.TOPIC, operation.TOPIC, session.TOPIC)
"""The topics that prove what became of a request, without the prefix. `kafka.retention_days` applies to these
topics."""
MS_PER_DAY: Final = 86_400_000


def topic_name(settings: Kafka, topic: str) -> str:
    """Return the name of a topic in Kafka, with the prefix from the settings."""
    return full_topic(settings.topic_prefix, topic)


def topic_names(settings: Kafka) -> list[str]:
    """Return the full names of all event topics."""
    return [topic_name(settings, topic) for topic in TOPICS]


def position_topic(settings: Kafka) -> str:
    """Return the full name of the position topic."""
    return topic_name(settings, POSITION_TOPIC)


def slot_ids_prefix(settings: Kafka) -> str:
    """Return the beginning of the transactional ids of all slots."""
    return f"{settings.topic_prefix}.slot."


def check_transactional_id(settings: Kafka) -> str:
    """Return the transactional id of the test transaction of `bridge check`."""
    return f"{settings.topic_prefix}.check"


def transactional_ids_of(settings: Kafka, slot: int, pair: int = 0) -> tuple[str, ...]:
    """Return the pair of transactional ids that a slot uses alternately: `.0` and `.1`, or `.2` and `.3` for pair 1.

    A transaction can begin under one id while Kafka still writes the markers of the last transaction under the other
    id. Bridges that have different accounts of the same slot use different pairs.
    """
    first = pair * IDS_OF_A_SLOT
    return tuple(f"{slot_ids_prefix(settings)}{slot}.{number}" for number in range(first, first + IDS_OF_A_SLOT))


def slot_of(account: str, slots: int) -> int:
    """Return the slot of an account: the partition of the position topic that Kafka's partitioner returns."""
    return partition_of(account.encode(), slots)


def earlier_transactional_id(settings: Kafka, account: str) -> str:
    """Return the transactional id that versions without slots used for an account."""
    return f"{settings.topic_prefix}.relay.{account}"


async def create_missing_topics(settings: Kafka, reads: Collection[str] = ()) -> None:
    """Create the missing topics. `reads` has the names, without the prefix, of topics that the bridge only reads.

    If the bridge lacks the right to create topics, the function does not fail. A missing topic then causes an error
    when it is used. A cluster without a controller (librdkafka's mock cluster) creates the topics with its own options.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka is not reachable.
    """
    async with _admin(settings) as admin:
        cluster = await admin.describe_cluster()
        present = set(await admin.list_topics())
        missing = [topic for topic in wanted_topics(settings, reads) if topic.name not in present]
        if not missing:
            return
        if cluster["controller_id"] not in {broker["node_id"] for broker in cluster["brokers"]}:
            await create_on_first_use(admin, [topic.name for topic in missing])
        else:
            await _create(admin, missing)


async def existing_topics(settings: Kafka) -> set[str]:
    """Return the full names of all topics that this client may see, including topics of other programs.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka is not reachable.
    """
    async with _admin(settings) as admin:
        return set(await admin.list_topics())


@asynccontextmanager
async def _admin(settings: Kafka) -> AsyncGenerator[AIOKafkaAdminClient, None]:
    """Yield a connected admin client. The block, with the connection, has the deadline `request_timeout`."""
    admin = guarded(AIOKafkaAdminClient(**connection(settings)))
    try:
        async with asyncio.timeout(settings.request_timeout):
            await admin.start()
            yield admin
    finally:
        await closed(admin.close())


async def _create(admin: AIOKafkaAdminClient, missing: list[NewTopic]) -> None:
    try:
        response = await admin.create_topics(missing)
    except (ClusterAuthorizationFailedError, IncompatibleBrokerVersion) as error:
        log.warning("topics-not-created", topics=[topic.name for topic in missing], reason=type(error).__name__)
        return
    for name, code, *_ in response.topic_errors:
        result = for_code(code)
        if result is NoError:
            log.info("topic-created", topic=name)
        elif result is not TopicAlreadyExistsError:
            log.warning("topic-not-created", topic=name, reason=result.__name__)


def wanted_topics(settings: Kafka, reads: Collection[str] = ()) -> list[NewTopic]:
    """Return all topics of the bridge, each with the options for its creation.

    `reads` has the names, without the prefix, of further topics that the bridge only reads.
    """
    topics = [_topic(settings, topic, settings.partitions, _configs(settings, topic)) for topic in (*TOPICS, *reads)]
    return [*topics, _topic(settings, POSITION_TOPIC, settings.slots, POSITION_CONFIGS)]


def _configs(settings: Kafka, topic: str) -> dict[str, str]:
    if settings.retention_days is not None and topic in LASTING:
        # This topic has no compaction, because compaction would keep only the newest event of each operation.
        return {"cleanup.policy": "delete", "retention.ms": str(settings.retention_days * MS_PER_DAY)}
    return OPERATIONS_CONFIGS if topic == operation.TOPIC else {}


def _topic(settings: Kafka, topic: str, partitions: int, configs: dict[str, str]) -> NewTopic:
    # With an assignment (which may be empty), aiokafka accepts only the cluster's own replication factor (-1). Without
    # an assignment, aiokafka accepts any other factor.
    name, factor = topic_name(settings, topic), settings.replication_factor
    assignments: dict[int, list[int]] | None = {} if factor == -1 else None
    return NewTopic(name, partitions, factor, replica_assignments=assignments, topic_configs=configs)
