"""Kafka: publishing exactly once, with the position beside the events."""

from bridge.delivery.backoff import Backoff
from bridge.delivery.batches import size_of
from bridge.delivery.connection import connection, connection_trouble
from bridge.delivery.failures import FAILURES as KAFKA_FAILURES
from bridge.delivery.failures import guarded
from bridge.delivery.failures import reason as kafka_reason
from bridge.delivery.in_flight import InFlight, InFlightBatch, make_writable
from bridge.delivery.kafka import KafkaPublisher
from bridge.delivery.keys import AccountKeys
from bridge.delivery.ledger import KafkaLedger, Ledger, MemoryLedger, Place
from bridge.delivery.memory import MemoryKafka, MemoryPublisher
from bridge.delivery.position import LOST, NOWHERE, Position
from bridge.delivery.probe import KafkaProbe
from bridge.delivery.publisher import Publisher, Revise, revise_nothing
from bridge.delivery.reader import ConsumedRecord, read
from bridge.delivery.rights import ClusterView, creation_refusals, may_use, view_cluster
from bridge.delivery.seal import SALT_BYTES, Unsealable
from bridge.delivery.state import PublisherState
from bridge.delivery.topics import EVENT_TOPICS, create_missing_topics, position_topic, topic_names, transactional_id_of
from bridge.delivery.unreadable import unreadable_records
from bridge.delivery.unsigned import UnsignedEvents

__all__ = [
    "EVENT_TOPICS",
    "KAFKA_FAILURES",
    "LOST",
    "NOWHERE",
    "SALT_BYTES",
    "AccountKeys",
    "Backoff",
    "ClusterView",
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
    "Revise",
    "Unsealable",
    "UnsignedEvents",
    "connection",
    "connection_trouble",
    "create_missing_topics",
    "creation_refusals",
    "guarded",
    "kafka_reason",
    "make_writable",
    "may_use",
    "position_topic",
    "read",
    "revise_nothing",
    "size_of",
    "topic_names",
    "transactional_id_of",
    "unreadable_records",
    "view_cluster",
]
