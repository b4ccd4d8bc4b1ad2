"""Finds missing topics and missing rights before the bridge needs them.

Since Kafka 2.3, the metadata of a topic contain the caller's rights (KIP-430). If an older broker or an authorizer does
not report rights, the bridge notices a missing right only when it needs the right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    for_code,
)

from bridge.delivery.client.aiokafka_internals.groups import no_heartbeat
from bridge.delivery.client.aiokafka_internals.metadata import topic_metadata, topic_option, validate_creation
from bridge.delivery.client.aiokafka_internals.producing import end_no_transaction
from bridge.delivery.client.connection import milliseconds
from bridge.delivery.client.topics import (
    LASTING,
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
DESCRIBE_CONFIGS: Final = "describe configs"
# Bits of a set of operations: org.apache.kafka.common.acl.AclOperation.
_BITS: Final = {READ: 1 << 3, WRITE: 1 << 4}
_UNTOLD: Final = -(1 << 31)


class ClusterView(NamedTuple):
    """The state of the cluster and of the bridge's topics, as reported by a broker. Topics have their full names."""

    brokers: int
    partitions: dict[str, int]
    """The number of partitions of each existing topic."""
    unknown: list[str]
    """The topics that do not exist."""
    lacking: list[str]
    """The missing rights, such as "write on topic gws.sessions.v1"."""
    creates_on_use: bool
    """Whether the cluster has no controller and creates topics on first use, like librdkafka's mock cluster."""
    position_cleanup: str | None
    """The `cleanup.policy` of the position topic. None if the topic or the DescribeConfigs right is missing."""

    def position_fault(self, settings: Kafka) -> str | None:
        """Return why the position topic does not keep the positions, or None if no fault is known."""
        if self.position_cleanup is None or "compact" in self.position_cleanup.split(","):
            return None
        topic = position_topic(settings)
        return (
            f"topic {topic} (partitions: {self.partitions[topic]}) has cleanup.policy={self.position_cleanup} instead "
            "of compact, so Kafka will delete the bridge's positions"
        )


def topic_rights(settings: Kafka, reads: Collection[str] = ()) -> dict[str, tuple[str, ...]]:
    """Return the rights that the bridge needs on each of its topics. The rights are Write, Read, or both.

    Each of them includes Describe. `reads` has the names, without the prefix, of further topics that the bridge only
    reads.
    """
    both = {topic_name(settings, operation.TOPIC), position_topic(settings)}
    names = [*topic_names(settings), position_topic(settings)]
    rights: dict[str, tuple[str, ...]] = {name: (WRITE, READ) if name in both else (WRITE,) for name in names}
    return rights | {topic_name(settings, topic): (READ,) for topic in reads}


def evidence_rights(settings: Kafka) -> dict[str, tuple[str, ...]]:
    """Return the further rights on topics that evidence and its archive need (docs/evidence.md, "Rights")."""
    lasting = {topic_name(settings, topic) for topic in LASTING}
    return {name: (READ, DESCRIBE_CONFIGS) if name in lasting else (READ,) for name in topic_names(settings)}


async def view_cluster(client: AIOKafkaClient, settings: Kafka, reads: Collection[str] = ()) -> ClusterView:
    """Ask a broker about the bridge's topics, and about further topics that it reads. Nothing is created.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    rights = topic_rights(settings, reads)
    names = list(rights)
    answer = await topic_metadata(client, names, create=False)
    topics = {topic["topic"]: topic for topic in answer["topics"]}
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
            lacking += [f"{right} on topic {name}" for right in rights[name] if not given & _BITS[right]]
    brokers = {broker["node_id"] for broker in answer["brokers"]}
    creates_on_use = answer["controller_id"] not in brokers
    cleanup = None
    if position_topic(settings) in partitions and not creates_on_use:
        cleanup = await topic_option(client, position_topic(settings), "cleanup.policy")
    return ClusterView(len(brokers), partitions, unknown, lacking, creates_on_use, cleanup)


async def creation_refusals(
    client: AIOKafkaClient, settings: Kafka, names: Collection[str], reads: Collection[str] = ()
) -> dict[str, str]:
    """Return the topics that the bridge may not create, each with the reason. Nothing is created.

    Raises:
        aiokafka.errors.KafkaError: Kafka does not answer.
    """
    topics = [topic for topic in wanted_topics(settings, reads) if topic.name in names]
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
    """Return the transactional ids of the accounts' slots. The result is empty if the bridge uses no transactions."""
    if settings.delivery is not Delivery.EXACTLY_ONCE:
        return []
    slots = seen.partitions.get(position_topic(settings), settings.slots)
    numbers = sorted({slot_of(account, slots) for account in accounts})
    return [name for number in numbers for name in transactional_ids_of(settings, number)]


async def may_use(client: AIOKafkaClient, transactional_id: str) -> bool:
    """Return whether the bridge may use `transactional_id`.

    The check does not disturb a producer that uses the id now: it asks Kafka to abort a transaction of a producer id
    that never existed. The broker checks the right first, and then finds no transaction to abort.

    Raises:
        aiokafka.errors.KafkaError: Kafka does not answer.
    """
    return for_code(await end_no_transaction(client, transactional_id)) is not TransactionalIdAuthorizationFailed


async def may_join(client: AIOKafkaClient, group: str) -> bool:
    """Return whether the bridge may join the consumer `group`. The group and its members are not disturbed.

    The function sends the heartbeat of a member that never joined. The broker checks the right (Read on the group)
    first, and then finds no such member.

    Raises:
        aiokafka.errors.KafkaError: Kafka does not answer.
    """
    return for_code(await no_heartbeat(client, group)) is not GroupAuthorizationFailedError
