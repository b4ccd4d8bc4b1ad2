"""Makes the consumer of requests from the settings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from bridge.delivery import group_reader
from bridge.events import REQUEST
from bridge.operations import OUTBOUND_OPERATIONS
from bridge.requests.consumer import RequestConsumer
from bridge.requests.reading import RequestReading
from bridge.requests.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bridge.events import Encoding
    from bridge.operations import OperationsService
    from bridge.privacy import Concealment
    from bridge.settings import Kafka, Settings, TopicSettings
    from bridge.webservices import UpstreamWatch

GROUP: Final = "requests"


def requests_group(settings: Kafka) -> str:
    """Return the name of the consumer group that reads the request topic."""
    return f"{settings.topic_prefix}.{GROUP}"


def request_topics(settings: TopicSettings) -> Sequence[str]:
    """Return the topic from which the bridge reads requests, without the prefix, or nothing if it reads no requests."""
    return [REQUEST.topic] if settings.operations.request_topic else []


def request_consumer(
    settings: Settings,
    operations: OperationsService,
    encoding: Encoding,
    privacy: Concealment | None,
    *,
    accounts: Collection[str],
    upstream: UpstreamWatch,
) -> RequestConsumer:
    """Return the consumer of requests. `accounts` are the names of this process's accounts, which may change."""
    limits = settings.operations
    return RequestConsumer(
        partial(group_reader, settings.kafka, REQUEST.topic, requests_group(settings.kafka)),
        operations,
        RequestReading(encoding, limits.enabled),
        Refusals(
            encoding,
            privacy,
            default_account=lambda: operations.default_account,
            known=accounts,
            operations=OUTBOUND_OPERATIONS,
        ),
        upstream,
        places=limits.concurrency + limits.waiting_room,
        forward_deadline=limits.forward_deadline,
    )
