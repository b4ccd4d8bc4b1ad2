"""Kafka: publishing exactly once, with the position beside the events."""

from bridge.delivery.client.batches import size_of
from bridge.delivery.client.connection import connection, connection_trouble
from bridge.delivery.client.failures import FAILURES as KAFKA_FAILURES
from bridge.delivery.client.failures import guarded
from bridge.delivery.client.failures import reason as kafka_reason
from bridge.delivery.client.probe import KafkaProbe
from bridge.delivery.client.rights import ClusterView, creation_refusals, may_use, view_cluster
from bridge.delivery.client.topics import (
    create_missing_topics,
    position_topic,
    topic_name,
    topic_names,
    transactional_id_of,
)
from bridge.delivery.client.unreadable import unreadable_records
from bridge.delivery.ledger.ledger import KafkaLedger, Ledger, Place
from bridge.delivery.position.earlier_seal import SALT_BYTES, Unsealable
from bridge.delivery.position.keys import AccountKeys
from bridge.delivery.position.position import EMPTY_POSITION, LOST, Position
from bridge.delivery.position.unsigned import UnsignedEvents
from bridge.delivery.publisher.kafka import KafkaPublisher
from bridge.delivery.publisher.publisher import Publisher, Revise, revise_nothing
from bridge.delivery.publisher.state import PublisherState
from bridge.delivery.reader import ConsumedRecord, read

__all__ = [
    "EMPTY_POSITION",
    "KAFKA_FAILURES",
    "LOST",
    "SALT_BYTES",
    "AccountKeys",
    "ClusterView",
    "ConsumedRecord",
    "KafkaLedger",
    "KafkaProbe",
    "KafkaPublisher",
    "Ledger",
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
    "may_use",
    "position_topic",
    "read",
    "revise_nothing",
    "size_of",
    "topic_name",
    "topic_names",
    "transactional_id_of",
    "unreadable_records",
    "view_cluster",
]
