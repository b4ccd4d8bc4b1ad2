"""The model of a bundle: the records about the operations of one subject, and the conclusions from these records.

A bundle is JSON with names in camelCase. Times are RFC 3339, UTC. `FORMAT` is the version. A reader must refuse an
unknown version, because a later version may have parts that the reader would overlook.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from bridge.events import rfc3339_milliseconds

if TYPE_CHECKING:
    from bridge.delivery import ConsumedRecord

FORMAT: Final = "bridge-evidence/1"

SubjectKind: TypeAlias = Literal["reference", "phone", "record", "job"]
Verdict: TypeAlias = Literal["in-time", "late", "waiting", "overdue", "rejected"]
Signature: TypeAlias = Literal["valid", "invalid", "none", "unknown"]


class _Part(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The base of all structs of a bundle. Unknown members are refused, because no digest would cover them."""


class Place(_Part, frozen=True):
    """The place of a record in Kafka. `topic` is the full name."""

    topic: str
    partition: int
    offset: int


class StoredRecord(_Part, frozen=True):
    """A record as Kafka has it. `key`, `value` and the header values are the exact bytes, in base64."""

    topic: str
    partition: int
    offset: int
    timestamp: str
    """Kafka's timestamp of the record."""
    key: str | None
    headers: tuple[tuple[str, str], ...]
    value: str | None
    sha256: str
    """SHA-256 of the value's bytes, in hexadecimal."""
    ce_id: str | None
    """The event's id, from the header of the same name."""
    source: Literal["kafka", "archive"] = "kafka"
    """The kind of place where the record was read."""

    @property
    def place(self) -> Place:
        """The record's place in Kafka."""
        return Place(topic=self.topic, partition=self.partition, offset=self.offset)

    @property
    def name(self) -> str:
        """The record's place as text, for people."""
        return f"{self.topic}/{self.partition}@{self.offset}"

    def value_bytes(self) -> bytes:
        """Return the exact bytes of the value, empty for a record without a value."""
        return base64.b64decode(self.value or "")


class OperationEvent(_Part, frozen=True):
    """One event in the history of an operation."""

    status: str
    at: str
    attempt: int
    record: Place
    signature: Signature
    """Whether the event has the signature of the account's bridge. `unknown`: the account's password is not known here.
    `none`: the record has no signature, so any writer to the topic may have written it."""


class Answer(_Part, frozen=True):
    """The answer of Web Services to the REST call."""

    http_status: int | None
    status_code: int | None
    status_message: str | None


class Notification(_Part, frozen=True):
    """An acknowledgement or a user event of the operation."""

    what: str | None
    """The notificationType of an acknowledgement, or the name of a user event."""
    received_at: str
    """The time at which the bridge received the acknowledgement or the event."""
    ce_id: str | None
    record: Place


class OperationHistory(_Part, frozen=True):
    """The history of one operation."""

    reference_id: str
    operation: str
    """The `operationName`, such as `DoNotCallRecord`."""
    status: str
    """The status of the newest event: requested, accepted, rejected, acknowledged or timed-out."""
    account: str
    requested_by: str | None
    """Name of the caller's token. None: the caller was not authenticated."""
    received_at: str
    """When the bridge received the request."""
    record_handle: int | None
    record_key: str | None
    """Key of the outbound record, as in the topics."""
    request: msgspec.Raw
    """The forwarded request, from the first trusted `requested` event, or from the final event if there is none."""
    attempts: int
    """The number of times that the bridge sent, or may have sent, the request."""
    answer: Answer | None
    events: tuple[OperationEvent, ...]
    acknowledgement: Notification | None
    """The first acknowledgement that was found on its topic. None if none was found."""
    late: bool
    """Whether the acknowledgement came after the operation had timed out."""
    user_events: tuple[Notification, ...]
    """User events about the same outbound record since the request."""
    deadline: str
    """The time by which the request must be acknowledged: `deadlineDays` calendar days after `receivedAt`."""
    seconds: float | None
    """Seconds from the request to the acknowledgement."""
    days: float | None
    """Days from the request to the acknowledgement, rounded up to four decimal places."""
    verdict: Verdict
    """The result of comparing the acknowledgement with the deadline.

    - `in-time`: acknowledged before the deadline.
    - `late`: acknowledged after the deadline.
    - `waiting`: not acknowledged, and the deadline has not passed.
    - `overdue`: not acknowledged, and the deadline has passed.
    - `rejected`: Web Services refused the operation, or could not be reached."""


class Gap(_Part, frozen=True):
    """A period in which events of an account may have been lost."""

    account: str
    since: str | None
    """When the bridge received the last reply whose events are all in Kafka. None: not known."""
    until: str | None
    """When the bridge opened the new session."""
    reason: str | None
    operations: tuple[str, ...]
    """The referenceIds of the operations that waited for their acknowledgement during the gap."""
    record: Place


class Contradiction(_Part, frozen=True):
    """Records that contradict each other. `what` is a stable word, and `text` is a sentence for people."""

    what: str
    text: str
    records: tuple[Place, ...]


class SearchedPartition(_Part, frozen=True):
    """The offsets of a partition that were searched: from `since` to the offset before `until`."""

    partition: int
    first: int
    """The oldest offset that Kafka still had. Kafka has deleted the records before it."""
    since: int
    until: int
    records: int
    """The number of records that were read."""


class Searched(_Part, frozen=True):
    """One search of a topic."""

    topic: str
    source: Literal["kafka", "archive"]
    reason: str
    """The subject of this search, and why these partitions were searched."""
    partitions: int
    """The number of partitions of the topic."""
    ranges: tuple[SearchedPartition, ...]


class Missing(_Part, frozen=True):
    """A record that was expected and not found. `what` is a stable word, and `text` is a sentence for people."""

    what: str
    text: str


class Subject(_Part, frozen=True):
    """The subject of a bundle: the reference, phone number, outbound record or job of the search."""

    kind: SubjectKind
    value: str
    searched_as: tuple[str, ...] = ()
    """Further forms of the value that were searched for, such as the HMAC of a phone number."""


class Head(_Part, frozen=True):
    """The subject of the bundle, when the bundle was made, and which version of the bridge made it."""

    subject: Subject
    made_at: str
    since: str | None
    until: str | None
    deadline_days: int
    bridge_version: str
    topic_prefix: str
    phone_numbers: str
    """The setting `privacy.phone_numbers` when the bundle was made."""


class Schema(_Part, frozen=True):
    """A schema of the records' values, as a text."""

    id: str
    text: str


class Bundle(_Part, frozen=True):
    """Everything that is known about the operations of one subject."""

    head: Head
    operations: tuple[OperationHistory, ...]
    records: tuple[StoredRecord, ...]
    """The records about the subject, by time. The other parts name records of this list."""
    gaps: tuple[Gap, ...]
    contradictions: tuple[Contradiction, ...]
    searched: tuple[Searched, ...]
    missing: tuple[Missing, ...]
    schemas: tuple[Schema, ...]


def stored(record: ConsumedRecord, source: Literal["kafka", "archive"] = "kafka") -> StoredRecord:
    """Return a record of Kafka in the form that bundles contain."""
    value = record.value
    ce_id = record.headers.get("ce_id")
    return StoredRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=_time(record.timestamp),
        key=None if record.key is None else _base64(record.key),
        headers=tuple((name, _base64(content or b"")) for name, content in record.headers.items()),
        value=None if value is None else _base64(value),
        sha256=hashlib.sha256(value or b"").hexdigest(),
        ce_id=None if ce_id is None else ce_id.decode(errors="replace"),
        source=source,
    )


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _time(milliseconds: int) -> str:
    """Format Kafka's timestamp.

    A producer may write any number. A number outside of the calendar is returned as text.
    """
    try:
        return rfc3339_milliseconds(milliseconds)
    except ValueError:
        return str(milliseconds)
