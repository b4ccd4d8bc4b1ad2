"""Which topics there are for the bridge, and which of the rights that it needs it lacks, before it needs them.

Brokers from Kafka 2.3 on tell the caller's rights on a topic with its metadata (KIP-430). Others, and some authorizers,
tell none: then a right that is missing shows when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.errors import (
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import CreateTopicsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.transaction import EndTxnRequest
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from bridge.delivery.client.connection import milliseconds
from bridge.delivery.client.topics import OPERATIONS, POSITION_TOPIC, topic_name, topic_names, wanted_topics

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiokafka.client import AIOKafkaClient

    from bridge.settings import Kafka

READ: Final = "read"
WRITE: Final = "write"
# Bits of a set of operations: org.apache.kafka.common.acl.AclOperation.
_BITS: Final = {READ: 1 << 3, WRITE: 1 << 4}
_UNTOLD: Final = -(1 << 31)
_READ_TOO: Final = frozenset({OPERATIONS, POSITION_TOPIC})
"""Topics that the bridge reads as well as writes, without the prefix."""


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("authorized_operations", Int32),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _MetadataRequest(Request[MetadataRequest_v5 | _MetadataRequestStruct]):  # type: ignore[misc]
    """Of some topics, with the caller's rights where the broker tells them; aiokafka 0.14 has no version after 5."""

    API_KEY = 3

    def __init__(self, topics: list[str], *, create: bool) -> None:
        self._topics = topics
        self._create = create

    def build(self, request_struct_class: type[Any]) -> Any:
        if request_struct_class is MetadataRequest_v5:
            return request_struct_class(self._topics, self._create)
        return request_struct_class(self._topics, self._create, False, True)  # noqa: FBT003 -- a wire format


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
    names = [*topic_names(settings), topic_name(settings, POSITION_TOPIC)]
    request = _MetadataRequest(names, create=create)
    answer = (await client.send(client.get_random_node(), request)).to_object()
    topics = {topic["topic"]: topic for topic in answer["topics"]}
    reads = {topic_name(settings, topic) for topic in _READ_TOO}
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
    topics: list[tuple[Any, ...]] = [
        (topic.name, topic.num_partitions, topic.replication_factor, [], list(topic.topic_configs.items()))
        for topic in wanted_topics(settings)
        if topic.name in names
    ]
    request = CreateTopicsRequest(topics, milliseconds(settings.request_timeout), validate_only=True)
    controller = client.cluster.controller
    node = client.get_random_node() if controller is None else controller.nodeId
    answer = await client.send(node, request)
    refused = {}
    for name, code, *_ in answer.topic_errors:
        error = for_code(code)
        if error is TopicAuthorizationFailedError:
            refused[name] = "not authorised"
        elif error not in {NoError, TopicAlreadyExistsError}:
            refused[name] = error.__name__
    return refused


async def may_use(client: AIOKafkaClient, transactional_id: str) -> bool:
    """Whether the bridge may write as `transactional_id`; who uses it at the moment notices nothing.

    It asks to end a transaction of a producer that there never was. The broker looks at the right first, and then finds
    nothing to end.

    Raises:
        aiokafka.errors.KafkaError: Kafka does not answer.
    """
    request = EndTxnRequest(transactional_id, -1, -1, False)  # noqa: FBT003 -- aiokafka's signature
    answer = await client.send(client.get_random_node(), request)
    return for_code(answer.error_code) is not TransactionalIdAuthorizationFailed
