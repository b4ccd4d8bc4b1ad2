"""Requests about topics and their configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiokafka.admin.client
import aiokafka.client
from aiokafka.protocol import metadata
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiokafka import AIOKafkaClient
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

_TOPIC = 2
"""The value that means "topic" in Kafka's `ConfigResource.Type`."""


class _NonCreatingMetadataRequest(metadata.MetadataRequest):  # type: ignore[misc]
    def __init__(self, topics: list[str] | None = None, _: bool | None = None) -> None:  # noqa: FBT001 -- aiokafka's
        super().__init__(topics, False)  # noqa: FBT003 -- aiokafka's signature


def create_no_topics() -> None:
    """Make all clients of the process ask for the metadata of topics without creating missing topics.

    By default a broker creates a topic when a client asks for it (`auto.create.topics.enable`), with the broker's own
    options. Private part: the name `MetadataRequest` in `aiokafka.client` and `aiokafka.admin.client`. Clients have no
    option `allow.auto.create.topics`. If aiokafka uses another name, clients create missing topics when
    they ask for them.
    """
    aiokafka.client.MetadataRequest = _NonCreatingMetadataRequest
    aiokafka.admin.client.MetadataRequest = _NonCreatingMetadataRequest


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


async def create_on_first_use(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> None:
    """Create topics on a cluster without a controller, by asking for their metadata.

    Such a cluster has no other way to create topics.

    Private part: `AIOKafkaAdminClient._client`. After `create_no_topics`, no public client creates topics by asking for
    metadata. If the attribute changes, `bridge demo` fails.
    """
    await topic_metadata(admin._client, topics, create=True)  # noqa: SLF001


async def topic_option(client: AIOKafkaClient, topic: str, name: str) -> str | None:
    """Return an option of a topic, such as `cleanup.policy`, or None if the broker does not return the option.

    Reading an option needs the DescribeConfigs right. Private part: `aiokafka.protocol.admin.DescribeConfigsRequest`.
    The public admin client would open new connections. If the class changes, the bridge does not notice a position
    topic without compaction, which loses the positions.
    """
    answer = await client.send(client.get_random_node(), DescribeConfigsRequest([(_TOPIC, topic, [name])]))
    [resource] = answer.to_object()["resources"]
    if resource["error_code"]:
        return None
    return next((one["config_value"] for one in resource["config_entries"] if one["config_names"] == name), None)
