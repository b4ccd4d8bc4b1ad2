"""Kafka: publishing exactly once, with the position beside the events."""

from bridge.delivery.backoff import Backoff
from bridge.delivery.connection import connection
from bridge.delivery.in_flight import InFlight, InFlightBatch
from bridge.delivery.kafka import KafkaPublisher
from bridge.delivery.ledger import KafkaLedger, Ledger, MemoryLedger, Place
from bridge.delivery.memory import MemoryKafka, MemoryPublisher
from bridge.delivery.position import Position
from bridge.delivery.probe import KafkaProbe
from bridge.delivery.publisher import Publisher
from bridge.delivery.reader import ConsumedRecord, read
from bridge.delivery.seal import Unsealable
from bridge.delivery.state import PublisherState
from bridge.delivery.topics import EVENT_TOPICS, create_missing_topics, position_topic, topic_names
from bridge.delivery.vault import Vault

__all__ = [
    "EVENT_TOPICS",
    "Backoff",
    "ConsumedRecord",
    "InFlight",
    "InFlightBatch",
    "KafkaLedger",
    "KafkaProbe",
    "KafkaPublisher",
    "Ledger",
    "MemoryKafka",
    "MemoryLedger",
    "MemoryPublisher",
    "Place",
    "Position",
    "Publisher",
    "PublisherState",
    "Unsealable",
    "Vault",
    "connection",
    "create_missing_topics",
    "position_topic",
    "read",
    "topic_names",
]
