"""One example record of each kind of event, based on the messages in the documentation of Web Services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from bridge.events import CONTENT_TYPE, REQUEST, HeaderTemplate, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.events import Kind

_ACCOUNT: Final = "bridge"
_SESSION: Final = "5f1d7a84db00d2fc"
_RECORD_KEY: Final = "134/Campaign1/13"
_DEVICE: Final = "f32a46c4-8a48-4067-9965-537fc9788790"
_AT: Final = "2026-01-01T12:00:00.123Z"

_USER_DATA: Final = {
    "GSW_CHAIN_ATTR": "AllChain",
    "GSW_APPLICATION_ID": 134,
    "GSW_RECORD_HANDLE": 13,
    "GSW_USER_EVENT": "DoNotCallAcknowledge",
    "GSW_CALLING_LIST": "CallingList1",
    "GSW_PHONE": "3001",
    "GSW_CAMPAIGN_NAME": "Campaign1",
}
_ACKNOWLEDGEMENT: Final = {
    "notificationType": "DoNotCallAcknowledge",
    "referenceId": "123456789",
    "recordHandle": 13,
    "phoneNumber": None,
    "applicationId": 134,
    "campaignName": "Campaign1",
    "callingList": "CallingList1",
    "devicePath": f"/devices/{_DEVICE}",
    "operation": "DoNotCallRecord",
    "account": _ACCOUNT,
    "receivedAt": _AT,
    "original": {
        "record": {
            "devicePath": f"/devices/{_DEVICE}",
            "callingList": "CallingList1",
            "applicationId": 134,
            "recordHandle": 13,
            "campaignName": "Campaign1",
        },
        "notificationType": "DoNotCallAcknowledge",
        "messageType": "OutboundRecordMessage",
        "referenceId": "123456789",
    },
}
_USER_EVENT: Final = {
    "userEvent": "DoNotCallAcknowledge",
    "recordHandle": 13,
    "applicationId": 134,
    "campaignName": "Campaign1",
    "callingList": "CallingList1",
    "phoneNumber": "3001",
    "chainId": None,
    "chainAttribute": "AllChain",
    "deviceId": _DEVICE,
    "generatedAt": "2015-06-10T05:50:50.788Z",
    "processing": {"nodeNanos": 4352048, "serverMs": 5},
    "userData": _USER_DATA,
    "account": _ACCOUNT,
    "receivedAt": _AT,
    "original": {
        "metrics": {
            "eventProcessing": {
                "serverGenerationTimestamp": 1433915450788,
                "nodeProcessingTimeNanos": 4352048,
                "serverProcessingTimeTotalMs": 5,
            }
        },
        "userData": _USER_DATA,
        "deviceId": _DEVICE,
        "messageType": "DeviceUserEventMessage",
    },
}
_OPERATION: Final = {
    "referenceId": "123456789",
    "operation": "DoNotCallRecord",
    "status": "acknowledged",
    "at": _AT,
    "account": _ACCOUNT,
    "receivedAt": "2026-01-01T12:00:00.012Z",
    "requestedBy": None,
    "recordHandle": 13,
    "request": {
        "callingList": "CallingList1",
        "phoneNumber": "3001",
        "campaignName": "Campaign1",
        "devicePath": f"/devices/{_DEVICE}",
        "operationName": "DoNotCallRecord",
        "applicationId": 134,
        "chainAttribute": "AllChain",
        "referenceId": "123456789",
    },
    "upstream": {"httpStatus": 200, "statusCode": 0, "statusMessage": None},
    "acknowledgementId": f"{_SESSION}-17",
    "acknowledgementKey": _RECORD_KEY,
    "acknowledgementTopic": None,
    "late": False,
    "userEventId": None,
    "latencyMs": 96,
    "asynchronous": False,
    "attempt": 1,
    "sealedRequest": None,
}
_GAP: Final = {
    "change": "gap",
    "account": _ACCOUNT,
    "session": _SESSION,
    "previousSession": "9b2cf535f27731c9",
    "from": "2026-01-01T11:59:40.020Z",
    "to": _AT,
    "reason": "unknown-client",
    "ackExtension": True,
    "receivedAt": _AT,
}
_UNRECOGNIZED: Final = {
    "reason": "unknown-message-type",
    "channel": "/v2/me/outbound",
    "messageType": "OutboundCampaignMessage",
    "account": _ACCOUNT,
    "receivedAt": _AT,
    "original": {
        "campaign": {
            "name": "Campaign1",
            "dialingMode": "Preview",
            "groupName": "Group1",
            "state": "Running",
            "devicePath": f"/devices/{_DEVICE}",
            "applicationId": 134,
            "groupDescription": "",
            "description": "",
        },
        "notificationType": "PreviewSessionStarted",
        "messageType": "OutboundCampaignMessage",
        "referenceId": "123456792",
    },
}
_DEAD_LETTER: Final = {
    "reason": "too-large",
    "topic": "user-events.v1",
    "size": 1203345,
    "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    "start": '{"userEvent":"DoNotCallAcknowledge","recordHandle":13,',
    "eventType": "gws.user-event.v1",
    "eventId": f"{_SESSION}-18",
    "account": _ACCOUNT,
    "receivedAt": _AT,
    "problem": None,
    "detail": None,
    "partition": None,
    "offset": None,
}
_REQUEST: Final = {"account": None, "recordHandle": 13, "request": {**_OPERATION["request"]}}  # type: ignore[dict-item]


class _Example(NamedTuple):
    value: Mapping[str, Any]
    id: str
    key: str
    sequence: int | None = None


_EXAMPLES: Final[Mapping[str, _Example]] = {
    "acknowledgement/v1": _Example(_ACKNOWLEDGEMENT, f"{_SESSION}-17", _RECORD_KEY, 17),
    "user-event/v1": _Example(_USER_EVENT, f"{_SESSION}-18", _RECORD_KEY, 18),
    "operation/v1": _Example(_OPERATION, f"123456789-acknowledged-{_AT}", "123456789"),
    "session/v1": _Example(_GAP, f"{_SESSION}-gap", _ACCOUNT),
    "unrecognized/v1": _Example(_UNRECOGNIZED, f"{_SESSION}-19", _ACCOUNT, 19),
    "request/v1": _Example(_REQUEST, "7f0c", "123456789"),
    "dead-letter/v1": _Example(_DEAD_LETTER, f"{_SESSION}-18-dead-letter", _RECORD_KEY, 18),
}


def example_of(kind: Kind) -> Record:
    """Return an example record of this kind."""
    example = _EXAMPLES[kind.path]
    key = example.key.encode()
    sequence = None if example.sequence is None else str(example.sequence).encode()
    if kind is REQUEST:
        headers = _request_headers(example.id)
        return Record(kind.topic, key, msgspec.json.encode(example.value), headers)
    headers = HeaderTemplate(kind.event_type, kind.schema, _ACCOUNT, _AT).headers(
        example.id.encode(), key, sequence=sequence
    )
    return Record(kind.topic, key, msgspec.json.encode(example.value), headers)


def _request_headers(id_: str) -> list[tuple[str, bytes]]:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": id_,
        "ce_source": "/crm",
        "ce_type": REQUEST.event_type,
        "ce_time": _AT,
        "ce_dataschema": REQUEST.schema,
        "content-type": CONTENT_TYPE,
    }
    return [(name, value.encode()) for name, value in headers.items()]
