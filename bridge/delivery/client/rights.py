"""Which topics there are for the bridge, and which of the rights that it needs it lacks, before it needs them.

Brokers from Kafka 2.3 on tell the caller's rights on a topic with its metadata (KIP-430). Others, and some authorizers,
tell none: then a right that is missing shows when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.errors import (
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    for_code,
)

from bridge.delivery.client.aiokafka_internals import end_no_transaction, topic_metadata, validate_creation
from bridge.delivery.client.connection import milliseconds
from bridge.delivery.client.topics import (
    position_topic,
    slot_of,
    topic_name,
    topic_names,
    transactional_ids_of,
    wanted_topics,
)
from bridge.events import operation
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from aiokafka import AIOKafkaClient

    from bridge.settings import Kafka

READ: Final = "read"
WRITE: Final = "write"
# Bits of a set of operations: org.apache.kafka.common.acl.AclOperation.
_BITS: Final = {READ: 1 << 3, WRITE: 1 << 4}
_UNTOLD: Final = -(1 << 31)


class ClusterView(NamedTuple):
    """The cluster and the bridge's topics as one broker shows them; topics by their whole names."""

    brokers: int
    partitions: dict[str, int]
    """Of each topic that is there."""
    unknown: list[str]
    """Topics that are not there."""
    lacking: list[str]
    """Rights that the bridge lacks, for example "write on topic gws.sessions.v1"."""
    creates_on_use: bool
    """Whether the cluster has no controller, as librdkafka's mock: there topics appear on first use."""


async def view_cluster(client: AIOKafkaClient, settings: Kafka, *, create: bool = False) -> ClusterView:
    """Ask one broker about the bridge's topics.

    With `create` a cluster that creates topics on first use takes the question for that; else nothing is created.

    Raises:
        aiokafka.errors.KafkaError: it does not answer.
    """
    names = [*topic_names(settings), position_topic(settings)]
    answer = await topic_metadata(client, names, create=create)
    topics = {topic["topic"]: topic for topic in answer["topics"]}
    reads = {topic_name(settings, operation.TOPIC), position_topic(settings)}
    partitions: dict[str, int] = {}
    unknown: list[str] = []
    lacking: list[str] = []
    for name in names:
        topic = topics[name]
        error = for_code(topic["error_code"])
        given = topic.get("authorized_operations", _UNTOLD)
        if error is TopicAuthorizationFailedError:
            given = 0
        elif error is UnknownTopicOrPartitionError:
            unknown.append(name)
        elif error is NoError:
            partitions[name] = len(topic["partitions"])
        if given != _UNTOLD:
            needed = (WRITE, READ) if name in reads else (WRITE,)
            lacking += [f"{right} on topic {name}" for right in needed if not given & _BITS[right]]
    brokers = {broker["node_id"] for broker in answer["brokers"]}
    return ClusterView(len(brokers), partitions, unknown, lacking, answer["controller_id"] not in brokers)


async def creation_refusals(client: AIOKafkaClient, settings: Kafka, names: Collection[str]) -> dict[str, str]:
    """Ask whether the bridge may create topics, without creating them; return why not, by topic.

    Raises:
        aiokafka.errors.KafkaError: Kafka does not answer.
    """
    topics = [topic for topic in wanted_topics(settings) if topic.name in names]
    codes = await validate_creation(client, topics, milliseconds(settings.request_timeout))
    refused = {}
    for name, code in codes.items():
        error = for_code(code)
        if error is TopicAuthorizationFailedError:
            refused[name] = "not authorised"
        elif error not in {NoError, TopicAlreadyExistsError}:
            refused[name] = error.__name__
    return refused


def needed_transactional_ids(settings: Kafka, accounts: Iterable[str], seen: ClusterView) -> list[str]:
    """Return the ids that the accounts' slots publish with; none where there are no transactions."""
    if settings.delivery is not Delivery.EXACTLY_ONCE:
        return []
    slots = seen.partitions.get(position_topic(settings), settings.slots)
    numbers = sorted({slot_of(account, slots) for account in accounts})
    return [name for number in numbers for name in transactional_ids_of(settings, number)]


async def may_use(client: AIOKafkaClient, transactional_id: str) -> bool:
    """Whether the bridge may write as `transactional_id`; who uses it at the moment notices nothing.

    It asks to end a transaction of a producer that there never was. The broker looks at the right first, and then finds
    nothing to end.

    Raises:
        aiokafka.errors.KafkaError: Kafka does not answer.
    """
    return for_code(await end_no_transaction(client, transactional_id)) is not TransactionalIdAuthorizationFailed
