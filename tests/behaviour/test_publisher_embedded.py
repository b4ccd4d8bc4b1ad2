"""The Kafka publisher keeps its promises on the embedded broker."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.delivery.slots import slots
from bridge.simulator.broker import EmbeddedBroker
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.behaviour.publisher import PublisherBehaviour
from tests.behaviour.publisher_on_kafka import KafkaPublisherBehaviour
from tests.behaviour.slots_on_kafka import SlotBehaviour

PARTITIONS = 4
"""That the embedded broker gives to each topic."""


@pytest_asyncio.fixture
async def cluster(shared_broker: EmbeddedBroker) -> AsyncIterator[KafkaCluster]:
    cluster = KafkaCluster(shared_broker.bootstrap, check_crcs=False, partitions=PARTITIONS)
    yield cluster
    await cluster.stop()


class TestKafkaPublisherOnTheEmbeddedBroker(PublisherBehaviour, KafkaPublisherBehaviour):
    pass


@pytest_asyncio.fixture
async def one_slot(shared_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KafkaCluster]:
    """All accounts share slot 0, although the embedded broker gives the topic four partitions."""
    monkeypatch.setattr(slots, "slot_of", lambda *_: 0)
    cluster = KafkaCluster(shared_broker.bootstrap, check_crcs=False, partitions=PARTITIONS)
    yield cluster
    await cluster.stop()


class TestSlotsOnTheEmbeddedBroker(SlotBehaviour):
    pass
