"""The ledger keeps its promises in memory and on the embedded broker."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.delivery import KafkaLedger, Ledger
from bridge.simulator.broker import EmbeddedBroker
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.behaviour.ledger import TOPIC, LedgerBehaviour
from tests.memory_kafka import MemoryKafka, MemoryLedger

PLACED = ("acknowledgements.v1",)
DAY = 86_400.0


class TestLedgerInMemory(LedgerBehaviour):
    """In memory."""

    @pytest.fixture
    def ledgers(self) -> list[Ledger]:
        kafka = MemoryKafka()
        return [MemoryLedger(kafka, TOPIC), MemoryLedger(kafka, TOPIC)]


class TestLedgerOnTheEmbeddedBroker(LedgerBehaviour):
    """On librdkafka's mock cluster."""

    @pytest_asyncio.fixture
    async def ledgers(self, shared_broker: EmbeddedBroker) -> AsyncIterator[list[KafkaLedger]]:
        settings = KafkaCluster(shared_broker.bootstrap, check_crcs=False).settings
        ledgers = [KafkaLedger(settings, TOPIC, PLACED, age=DAY) for _ in range(2)]
        yield ledgers
        for one in ledgers:
            await one.stop()
