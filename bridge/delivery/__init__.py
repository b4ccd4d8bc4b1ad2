"""Publishes to Kafka exactly once: the events and the position in the same transaction."""

from bridge.delivery.client.aiokafka_internals.groups import GroupPlan
from bridge.delivery.client.batches import size_of
from bridge.delivery.client.connection import closed, connection, connection_trouble
from bridge.delivery.client.failures import FAILURES as KAFKA_FAILURES
from bridge.delivery.client.failures import guarded
from bridge.delivery.client.failures import reason as kafka_reason
from bridge.delivery.client.partition import partition_of
from bridge.delivery.client.probe import KafkaProbe
from bridge.delivery.client.records import ConsumedRecord
from bridge.delivery.client.rights import (
    ClusterView,
    creation_refusals,
    evidence_rights,
    may_join,
    may_use,
    needed_transactional_ids,
    topic_rights,
    view_cluster,
)
from bridge.delivery.client.topics import (
    check_transactional_id,
    create_missing_topics,
    existing_topics,
    position_topic,
    slot_ids_prefix,
    slot_of,
    topic_name,
    topic_names,
    wanted_topics,
)
from bridge.delivery.client.unreadable import unreadable_records
from bridge.delivery.group import GroupMember, group_member
from bridge.delivery.group_reader import GroupReader, group_reader
from bridge.delivery.ledger.follower import Follower
from bridge.delivery.ledger.ledger import KafkaLedger, Ledger, Place
from bridge.delivery.position.earlier_seal import SALT_BYTES, Unsealable
from bridge.delivery.position.keys import AccountKeys, derive_ahead
from bridge.delivery.position.other_replicas import OthersPositions
from bridge.delivery.position.position import EMPTY_POSITION, LOST, Position
from bridge.delivery.position.unsigned_events import UnsignedEvents
from bridge.delivery.ranges import PartitionRange, Period, RangeReader, partition_counts, ranges_of, records_at
from bridge.delivery.reader import read
from bridge.delivery.retention import RetentionWatch, archive_group, note_archived, retention_of
from bridge.delivery.slots.publisher import Publisher, Revise, revise_nothing
from bridge.delivery.slots.slots import Slots, count_slots, transaction_gate
from bridge.delivery.slots.state import PublisherState

__all__ = [
    "EMPTY_POSITION",
    "KAFKA_FAILURES",
    "LOST",
    "SALT_BYTES",
    "AccountKeys",
    "ClusterView",
    "ConsumedRecord",
    "Follower",
    "GroupMember",
    "GroupPlan",
    "GroupReader",
    "KafkaLedger",
    "KafkaProbe",
    "Ledger",
    "OthersPositions",
    "PartitionRange",
    "Period",
    "Place",
    "Position",
    "Publisher",
    "PublisherState",
    "RangeReader",
    "RetentionWatch",
    "Revise",
    "Slots",
    "Unsealable",
    "UnsignedEvents",
    "archive_group",
    "check_transactional_id",
    "closed",
    "connection",
    "connection_trouble",
    "count_slots",
    "create_missing_topics",
    "creation_refusals",
    "derive_ahead",
    "evidence_rights",
    "existing_topics",
    "group_member",
    "group_reader",
    "guarded",
    "kafka_reason",
    "may_join",
    "may_use",
    "needed_transactional_ids",
    "note_archived",
    "partition_counts",
    "partition_of",
    "position_topic",
    "ranges_of",
    "read",
    "records_at",
    "retention_of",
    "revise_nothing",
    "size_of",
    "slot_ids_prefix",
    "slot_of",
    "topic_name",
    "topic_names",
    "topic_rights",
    "transaction_gate",
    "unreadable_records",
    "view_cluster",
    "wanted_topics",
]
