"""Requests about topics and their configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.protocol.admin import CreateTopicsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiokafka import AIOKafkaClient
    from aiokafka.admin import NewTopic


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


class MetadataRequest(Request[MetadataRequest_v5 | _MetadataRequestStruct]):  # type: ignore[misc]
    """Requests the metadata of topics, and the caller's rights if the broker supports this (version 8, KIP-430).

    Private part: the classes of `aiokafka.protocol`, from which this class is made. aiokafka 0.14 supports this request
    only up to version 5. If the classes change, the bridge notices a missing right only when it needs the right.
    """

    API_KEY = 3

    def __init__(self, topics: Sequence[str], *, create: bool) -> None:
        self._topics = list(topics)
        self._create = create

    def build(self, request_struct_class: type[Any]) -> Any:
        """Return the request in the version that aiokafka and the broker have negotiated."""
        if request_struct_class is MetadataRequest_v5:
            return request_struct_class(self._topics, self._create)
        return request_struct_class(self._topics, self._create, False, True)  # noqa: FBT003 -- a wire format


async def topic_metadata(client: AIOKafkaClient, topics: Sequence[str], *, create: bool) -> dict[str, Any]:
    """Send a `MetadataRequest` to a broker. `create` permits the cluster to create missing topics on first use."""
    answer = await client.send(client.get_random_node(), MetadataRequest(topics, create=create))
    metadata: dict[str, Any] = answer.to_object()
    return metadata


async def validate_creation(client: AIOKafkaClient, topics: Iterable[NewTopic], timeout_ms: int) -> dict[str, int]:
    """Ask the controller whether topics could be created, and return Kafka's error code for each topic.

    Nothing is created. Private part: `aiokafka.protocol.admin.CreateTopicsRequest`. The public admin client would open
    new connections. If the class changes, the bridge can't find out in advance whether it may create topics.
    """
    wanted: list[tuple[Any, ...]] = [
        (topic.name, topic.num_partitions, topic.replication_factor, [], list(topic.topic_configs.items()))
        for topic in topics
    ]
    controller = client.cluster.controller
    node = client.get_random_node() if controller is None else controller.nodeId
    answer = await client.send(node, CreateTopicsRequest(wanted, timeout_ms, validate_only=True))
    return {name: code for name, code, *_ in answer.topic_errors}
