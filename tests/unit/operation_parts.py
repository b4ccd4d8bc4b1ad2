"""What tests of operations are made of: a scripted Web Services, a service on a ledger in memory, and messages."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from prometheus_client import REGISTRY
from pydantic import SecretStr

from bridge.cometd import Event
from bridge.delivery import AccountKeys, ConsumedRecord
from bridge.errors import UpstreamRejected
from bridge.events import Operation, Record, Upstream, dead_letter, operation
from bridge.operations import LEDGER_TOPIC, Limits, OperationRecords, OperationsService, Submission
from bridge.relay.translation import Translation, Translator
from bridge.webservices import DoNotCallByHandle, UpstreamReply
from tests.memory_kafka import MemoryKafka, MemoryLedger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bridge.delivery import Ledger
    from bridge.operations import OperationView
    from bridge.privacy import Concealment

ACCOUNT = "agent"
KEYS = AccountKeys(ACCOUNT, SecretStr("secret"))
"""What the account's own bridges sign with."""
SAMPLE: dict[str, Any] = {
    "callingList": "CallingList1",
    "phoneNumber": "3001",
    "campaignName": "Campaign1",
    "devicePath": "/devices/f32a46c4",
    "operationName": "DoNotCallRecord",
    "applicationId": 134,
    "referenceId": "1",
}
ACCEPTED = UpstreamReply(200, 0)
AT = "2026-01-01T12:00:00.000Z"
Step: TypeAlias = UpstreamReply | Exception | asyncio.Event
"""What Web Services does with one request; an event: it answers once that is set."""


async def listed(service: OperationsService) -> list[OperationView]:
    """Return the newest operations."""
    return (await service.list()).operations


async def lists(service: OperationsService, *references: str) -> bool:
    """Return whether the newest operations include all of these."""
    return {*references} <= {one.reference_id for one in await listed(service)}


STATE = UpstreamRejected("state", http_status=500, status_code=4, status_message="device d is not registered")


class ScriptedUpstream:
    """Does what `script` says, and accepts everything after its end."""

    def __init__(self, *script: Step) -> None:
        self.script = list(script)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.at_once = 0
        self.most_at_once = 0

    async def forward(self, path: str, body: bytes) -> UpstreamReply:
        self.requests.append((path, msgspec.json.decode(body)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            step = self.script.pop(0) if self.script else ACCEPTED
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
                return ACCEPTED
            return step
        finally:
            self.at_once -= 1


def submission(reference: str | None = "1", handle: int | None = 13, **changes: Any) -> Submission:
    body = {name: value for name, value in SAMPLE.items() if name != "referenceId"} | changes
    if reference is not None:
        body["referenceId"] = reference
    return Submission(None, handle, DoNotCallByHandle.model_validate(body), requested_by="crm")


def _time(ahead: float) -> float:
    return time.time() + ahead


@asynccontextmanager
async def running(
    upstream: ScriptedUpstream,
    kafka: MemoryKafka | None = None,
    *,
    ledger: Ledger | None = None,
    records: OperationRecords | None = None,
    load_patience: float = 5.0,
    ahead: float = 0.0,
    in_fleet: bool = False,
    **limits: Any,
) -> AsyncIterator[OperationsService]:
    """A running service, its ledger loaded where Kafka is there; its clock goes `ahead` by so many seconds."""
    kafka = kafka or MemoryKafka()
    service = OperationsService(
        Limits(**limits),
        {ACCOUNT: upstream},
        ledger or MemoryLedger(kafka, LEDGER_TOPIC),
        records or OperationRecords(keys={ACCOUNT: KEYS}),
        load_patience=load_patience,
        in_fleet=in_fleet,
        clock=partial(_time, ahead),
    )
    task = asyncio.create_task(service.run())
    try:
        if kafka.available.is_set():
            service.correlator(ACCOUNT).start()
            async with asyncio.timeout(30):
                await service.correlator(ACCOUNT).match([], [])  # returns when the ledger is read
        yield service
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            task.result()


def translated(*bodies: dict[str, Any], first: int = 0, privacy: Concealment | None = None) -> Translation:
    """What the relay makes of these messages."""
    events = [Event("/v2/me/outbound", msgspec.Raw(msgspec.json.encode(body))) for body in bodies]
    return Translator(ACCOUNT, privacy=privacy).translate(
        events, session="s", first_sequence=first, received_at=1_767_268_800.0
    )


def acknowledgement(reference: object = "1", *, handle: int = 13, **changes: Any) -> dict[str, Any]:
    """An OutboundRecordMessage."""
    message = {
        "messageType": "OutboundRecordMessage",
        "notificationType": "DoNotCallAcknowledge",
        "record": {"applicationId": 134, "campaignName": "Campaign1", "recordHandle": handle, "phoneNumber": "3001"},
    }
    return message | ({} if reference is None else {"referenceId": reference}) | changes


async def turn(
    service: OperationsService,
    *bodies: dict[str, Any],
    kafka: MemoryKafka | None = None,
    privacy: Concealment | None = None,
    refused: bool = False,
) -> list[Operation]:
    """One turn of the relay with these messages; return the operation events that it would publish.

    `refused`: Kafka takes none of the acknowledgements.
    """
    correlator = service.correlator(ACCOUNT)
    translation = translated(*bodies, privacy=privacy)
    match = await correlator.match(translation.parsed, translation.records)
    if refused and match is not None:
        for record in translation.records:
            match.revise(record, dead_letter(record, "too-large", at=0))
    records = [] if match is None else match.records
    if kafka is not None:
        kafka.records.extend([*translation.records, *records])
    if match is not None:
        match.committed()
    correlator.turned()
    return [event_in(record) for record in records]


def event_in(record: Record) -> Operation:
    return msgspec.json.decode(record.value, type=Operation)


def told(kafka: MemoryKafka, reference: str = "1") -> list[Operation]:
    """The operation's events on the ledger."""
    events = [event_in(record) for record in kafka.records if record.topic == LEDGER_TOPIC]
    return [event for event in events if event.reference_id == reference]


def event(status: Any, *, reference: str = "1", at: str = AT, **changes: Any) -> Operation:
    """An operation event."""
    fields: dict[str, Any] = {
        "operation": "DoNotCallRecord",
        "account": ACCOUNT,
        "received_at": AT,
        "requested_by": None,
        "record_handle": 13,
        "request": msgspec.Raw(msgspec.json.encode(SAMPLE | {"referenceId": reference})),
    }
    if status == "acknowledged":
        fields |= {"acknowledgement_id": "s-1", "acknowledgement_key": "134/Campaign1/13"}
    if status in {"accepted", "acknowledged"}:
        fields["upstream"] = Upstream(200, 0, None)
    return Operation(reference_id=reference, status=status, at=at, **(fields | changes))


def signed(record: Record) -> Record:
    """The same from the account's own bridge; `KEYS` must have been started."""
    signature = KEYS.sign("ledger", LEDGER_TOPIC.encode(), record.key, record.value)
    return msgspec.structs.replace(record, headers=[*record.headers, (operation.SIGNATURE, signature.hex().encode())])


def consumed(value: bytes, key: bytes = b"1") -> ConsumedRecord:
    """A record of the ledger as a consumer gets it, without headers."""
    return ConsumedRecord(LEDGER_TOPIC, 0, 0, 0, key, {}, value)


class GatedLedger(MemoryLedger):
    """Writes while `gate` is open. The journal's first write, of nothing, always passes."""

    def __init__(self, kafka: MemoryKafka, topic: str) -> None:
        super().__init__(kafka, topic)
        self.gate = asyncio.Event()
        self.gate.set()
        self.writing = 0

    async def append(self, records: Sequence[Record]) -> None:
        if records:
            self.writing += 1
            await self.gate.wait()
            self.writing -= 1
        await super().append(records)


def statuses(kafka: MemoryKafka, reference: str = "1") -> list[str]:
    return [one.status for one in told(kafka, reference)]


def raw(body: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(body))


def fresh(**changes: Any) -> dict[str, Any]:
    """Fields of an event of now."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    return {"at": now, "received_at": now} | changes


def outcome(name: str) -> float:
    return REGISTRY.get_sample_value("bridge_operations_total", {"account": ACCOUNT, "outcome": name}) or 0.0
