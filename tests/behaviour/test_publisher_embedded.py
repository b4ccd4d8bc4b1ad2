"""The Kafka publisher keeps its promises on the embedded broker."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from bridge.simulator.broker import EmbeddedBroker
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.behaviour.publisher import PublisherBehaviour
from tests.behaviour.publisher_on_kafka import KafkaPublisherBehaviour

PARTITIONS = 4
"""That the embedded broker gives to each topic."""


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker()
    broker.start()
    yield broker
    broker.stop()


@pytest_asyncio.fixture
async def cluster(broker: EmbeddedBroker) -> AsyncIterator[KafkaCluster]:
    cluster = KafkaCluster(broker.bootstrap, check_crcs=False, partitions=PARTITIONS)
    yield cluster
    await cluster.stop()


class TestKafkaPublisherOnTheEmbeddedBroker(PublisherBehaviour, KafkaPublisherBehaviour):
    pass
