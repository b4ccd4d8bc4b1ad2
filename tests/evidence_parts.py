"""Records as a bridge writes them, a source without Kafka, and a signing key, for the tests of evidence."""

import itertools
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from bridge.delivery import AccountKeys, ConsumedRecord, partition_of
from bridge.events import (
    JSON,
    Acknowledgement,
    HeaderTemplate,
    Operation,
    Record,
    Upstream,
    UserEvent,
    acknowledgement,
    record_key,
    rfc3339,
    session_record,
    user_event,
)
from bridge.evidence.bundle import Missing, Searched, SearchedPartition
from bridge.evidence.collect import Collector
from bridge.evidence.sources import Wanted
from bridge.operations import OperationRecords, signature_check
from bridge.privacy import Concealment

ACCOUNT = "alice"
PASSWORD = "secret"
START = 1_790_000_000.0
"""When the first request of a story comes, in seconds since the epoch."""
ACCEPTED = Upstream(http_status=200, status_code=0, status_message=None)
REFUSED = Upstream(http_status=403, status_code=3, status_message="<b>forbidden</b>")
KEYS = {ACCOUNT: AccountKeys(ACCOUNT, SecretStr(PASSWORD), "gws")}


def operation(reference: str, status: Any, at: float, **changes: Any) -> Operation:
    """An event of an operation on the record 134/Spring/7, which was requested at `START`."""
    request = {"applicationId": 134, "campaignName": "Spring", "referenceId": reference, "phoneNumber": "5550107"}
    fields: dict[str, Any] = {
        "reference_id": reference,
        "operation": "DoNotCallRecord",
        "status": status,
        "at": rfc3339(at),
        "account": ACCOUNT,
        "received_at": rfc3339(START),
        "requested_by": "crm",
        "record_handle": 7,
        "request": msgspec.Raw(msgspec.json.encode(request)),
        "upstream": None if status == "requested" else ACCEPTED,
    }
    return Operation(**(fields | changes))


def acknowledged(reference: str | None, at: float, *, handle: int = 7, number: int = 0, **changes: Any) -> Record:
    """An acknowledgement of DoNotCallRecord."""
    fields: dict[str, Any] = {
        "notification_type": "DoNotCallAcknowledge",
        "reference_id": reference,
        "record_handle": handle,
        "phone_number": "5550107",
        "application_id": 134,
        "campaign_name": "Spring",
        "calling_list": "List",
        "device_path": None,
        "operation": "DoNotCallRecord",
        "account": ACCOUNT,
        "received_at": rfc3339(at),
        "original": msgspec.Raw(b"{}"),
    }
    value = Acknowledgement(**(fields | changes))
    key = record_key(value.application_id, value.campaign_name, value.record_handle, value.phone_number) or ACCOUNT
    return _record(acknowledgement.TOPIC, acknowledgement.TYPE, acknowledgement.SCHEMA, value, key=key, number=number)


def heard(
    at: float, *, handle: int = 7, number: int = 0, event: str = "DoNotCallAcknowledge", **changes: Any
) -> Record:
    """A user event."""
    fields: dict[str, Any] = {
        "user_event": event,
        "record_handle": handle,
        "application_id": 134,
        "campaign_name": "Spring",
        "calling_list": "List",
        "phone_number": "5550107",
        "chain_id": None,
        "chain_attribute": None,
        "device_id": "d1",
        "generated_at": None,
        "processing": None,
        "user_data": msgspec.Raw(b"null"),
        "account": ACCOUNT,
        "received_at": rfc3339(at),
        "original": msgspec.Raw(b"{}"),
    }
    value = UserEvent(**(fields | changes))
    return _record(
        user_event.TOPIC, user_event.TYPE, user_event.SCHEMA, value, key=f"134/Spring/{handle}", number=number
    )


def gap(since: float, until: float, account: str = ACCOUNT) -> Record:
    """A gap of the account."""
    return session_record(
        "gap", account=account, session=f"s{until}", at=until, from_=since, to=until, reason="unknown-client"
    )


def event_id(number: int) -> str:
    """The id of the event with this sequence number."""
    return f"session-{number}"


def _record(topic: str, kind: str, schema: str, value: Any, *, key: str, number: int) -> Record:
    template = HeaderTemplate(kind, schema, ACCOUNT, value.received_at)
    headers = template.headers(event_id(number).encode(), key.encode(), sequence=str(number).encode())
    return Record(topic, key.encode(), msgspec.json.encode(value), headers)


class Topics:
    """The topics of a bridge, with the records of a story. Each topic has `partitions` partitions."""

    name: Literal["kafka", "archive"] = "kafka"

    def __init__(self, partitions: int = 4, privacy: Concealment | None = None) -> None:
        self.records: list[ConsumedRecord] = []
        self.writer = OperationRecords(JSON, privacy, KEYS)
        self._partitions = partitions
        self._offsets: dict[tuple[str, int], itertools.count[int]] = {}
        self._searched: list[Searched] = []

    async def write(self, *records: Record | Operation, signed: bool = True) -> None:
        """Append records; operations are signed by the account's bridge."""
        await KEYS[ACCOUNT].start("ledger")
        for one in records:
            if isinstance(one, Operation):
                record, time = (self.writer.record if signed else self.writer.unsigned)(one), one.at
            else:
                record, time = one, msgspec.json.decode(one.value)["receivedAt"]
            self.append(record, round(datetime.fromisoformat(time).timestamp() * 1000))

    def append(self, record: Record, timestamp: int) -> ConsumedRecord:
        """Append a record."""
        topic, partition = f"gws.{record.topic}", partition_of(record.key, self._partitions)
        offset = next(self._offsets.setdefault((topic, partition), itertools.count()))
        found = ConsumedRecord(topic, partition, offset, timestamp, record.key, dict(record.headers), record.value)
        self.records.append(found)
        return found

    def report(self) -> tuple[list[Searched], list[Missing]]:
        """See `Source.report`."""
        return self._searched, []

    async def search(self, wanted: Sequence[Wanted], keep: Any, progress: Any) -> AsyncIterator[ConsumedRecord]:
        """See `Source.search`."""
        by_topic = {f"gws.{one.topic}": one for one in wanted}
        read = 0
        for record in self.records:
            one = by_topic.get(record.topic)
            if one is not None and (one.since is None or record.timestamp >= one.since):
                read += 1
                if keep(one.topic, record.key, record.value):
                    yield record
        progress(read, read)
        part = SearchedPartition(partition=0, first=0, since=0, until=read, records=read)
        self._searched += [
            Searched(topic=topic, source="kafka", reason=one.reason, partitions=1, ranges=(part,))
            for topic, one in by_topic.items()
        ]


def collector(source: Any, *, now: float = START + 86_400, conceal: Concealment | None = None) -> Collector:
    """A collector that reads the source, a day after the first request."""
    return Collector(
        [source],
        topic_prefix="gws",
        phone_numbers="plain" if conceal is None else "hmac",
        encoding=JSON,
        conceal=conceal,
        check=signature_check(KEYS),
        deadline_days=10,
        clock=lambda: now,
    )


def key_file(directory: Path, name: str = "key.pem") -> Path:
    """Write a new signing key."""
    path = directory / name
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path
