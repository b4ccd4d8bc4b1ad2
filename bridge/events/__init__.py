"""The published events: one module for each kind, with its topic, type, schema and key."""

from bridge.events.cloudevent import CONTENT_TYPE, HeaderTemplate, session_hash, source
from bridge.events.encoding import FRAME_BYTES, JSON, Encode, Encoding, Form, PlainJson, unframed
from bridge.events.fields import INT64_MAX
from bridge.events.keys import acknowledgement_key, record_key, user_event_key
from bridge.events.kinds import acknowledgement, operation, request, session, unrecognized, user_event
from bridge.events.kinds.acknowledgement import Acknowledgement
from bridge.events.kinds.catalogue import (
    CONTRACT_KINDS,
    KINDS,
    RECORD_KEY,
    REQUEST,
    SCHEMA_PREFIX,
    Kind,
    full_topic,
)
from bridge.events.kinds.dead_letter import TOPIC as DEAD_LETTERS
from bridge.events.kinds.dead_letter import DeadLetter, dead_letter, refused_request
from bridge.events.kinds.operation import Operation, Status, Upstream, operation_record
from bridge.events.kinds.session import TOPIC as SESSIONS
from bridge.events.kinds.session import Session, session_record
from bridge.events.kinds.unrecognized import Unrecognized
from bridge.events.kinds.user_event import Processing, UserEvent
from bridge.events.record import Record
from bridge.events.schemas import avro_schema_files, schema_files, schemas_directory
from bridge.events.times import rfc3339, rfc3339_milliseconds

TOPICS = tuple(kind.topic for kind in KINDS)
"""All topics of published events, without the prefix."""

__all__ = [
    "CONTENT_TYPE",
    "CONTRACT_KINDS",
    "DEAD_LETTERS",
    "FRAME_BYTES",
    "INT64_MAX",
    "JSON",
    "KINDS",
    "RECORD_KEY",
    "REQUEST",
    "SCHEMA_PREFIX",
    "SESSIONS",
    "TOPICS",
    "Acknowledgement",
    "DeadLetter",
    "Encode",
    "Encoding",
    "Form",
    "HeaderTemplate",
    "Kind",
    "Operation",
    "PlainJson",
    "Processing",
    "Record",
    "Session",
    "Status",
    "Unrecognized",
    "Upstream",
    "UserEvent",
    "acknowledgement",
    "acknowledgement_key",
    "avro_schema_files",
    "dead_letter",
    "full_topic",
    "operation",
    "operation_record",
    "record_key",
    "refused_request",
    "request",
    "rfc3339",
    "rfc3339_milliseconds",
    "schema_files",
    "schemas_directory",
    "session",
    "session_hash",
    "session_record",
    "source",
    "unframed",
    "unrecognized",
    "user_event",
    "user_event_key",
]
