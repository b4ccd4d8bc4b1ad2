"""A real record of each kind: what the documented messages of Web Services become, and what the bridge tells itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from bridge.events import (
    Acknowledgement,
    DeadLetter,
    HeaderTemplate,
    Operation,
    Processing,
    Record,
    Session,
    Unrecognized,
    Upstream,
    UserEvent,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.events import Kind

_ACCOUNT: Final = "bridge"
_SESSION: Final = "5f1d7a84db00d2fc"
_RECORD_KEY: Final = "134/Campaign1/13"
_DEVICE: Final = "f32a46c4-8a48-4067-9965-537fc9788790"
_AT: Final = "2026-01-01T12:00:00.123Z"


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


_USER_DATA: Final = {
    "GSW_CHAIN_ATTR": "AllChain",
    "GSW_APPLICATION_ID": 134,
    "GSW_RECORD_HANDLE": 13,
    "GSW_USER_EVENT": "DoNotCallAcknowledge",
    "GSW_CALLING_LIST": "CallingList1",
    "GSW_PHONE": "3001",
    "GSW_CAMPAIGN_NAME": "Campaign1",
}
_ACKNOWLEDGEMENT: Final = Acknowledgement(
    notification_type="DoNotCallAcknowledge",
    reference_id="123456789",
    record_handle=13,
    phone_number=None,
    application_id=134,
    campaign_name="Campaign1",
    calling_list="CallingList1",
    device_path=f"/devices/{_DEVICE}",
    operation="DoNotCallRecord",
    account=_ACCOUNT,
    received_at=_AT,
    original=_raw(
        {
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
        }
    ),
)
_USER_EVENT: Final = UserEvent(
    user_event="DoNotCallAcknowledge",
    record_handle=13,
    application_id=134,
    campaign_name="Campaign1",
    calling_list="CallingList1",
    phone_number="3001",
    chain_id=None,
    chain_attribute="AllChain",
    device_id=_DEVICE,
    generated_at="2015-06-10T05:50:50.788Z",
    processing=Processing(node_nanos=4352048, server_ms=5),
    user_data=_raw(_USER_DATA),
    account=_ACCOUNT,
    received_at=_AT,
    original=_raw(
        {
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
        }
    ),
)
_OPERATION: Final = Operation(
    reference_id="123456789",
    operation="DoNotCallRecord",
    status="acknowledged",
    at=_AT,
    account=_ACCOUNT,
    received_at="2026-01-01T12:00:00.012Z",
    requested_by=None,
    record_handle=13,
    request=_raw(
        {
            "callingList": "CallingList1",
            "phoneNumber": "3001",
            "campaignName": "Campaign1",
            "devicePath": f"/devices/{_DEVICE}",
            "operationName": "DoNotCallRecord",
            "applicationId": 134,
            "chainAttribute": "AllChain",
            "referenceId": "123456789",
        }
    ),
    upstream=Upstream(http_status=200, status_code=0, status_message=None),
    acknowledgement_id=f"{_SESSION}-17",
    acknowledgement_key=_RECORD_KEY,
    latency_ms=96,
)
_GAP: Final = Session(
    change="gap",
    account=_ACCOUNT,
    session=_SESSION,
    previous_session="9b2cf535f27731c9",
    from_="2026-01-01T11:59:40.020Z",
    to=_AT,
    reason="unknown-client",
    ack_extension=True,
    received_at=_AT,
)
_UNRECOGNIZED: Final = Unrecognized(
    reason="unknown-message-type",
    channel="/v2/me/outbound",
    message_type="OutboundCampaignMessage",
    account=_ACCOUNT,
    received_at=_AT,
    original=_raw(
        {
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
        }
    ),
)
_DEAD_LETTER: Final = DeadLetter(
    reason="too-large",
    topic="user-events.v1",
    size=1203345,
    sha256="b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    start='{"userEvent":"DoNotCallAcknowledge","recordHandle":13,',
    event_type="gws.user-event.v1",
    event_id=f"{_SESSION}-18",
    account=_ACCOUNT,
    received_at=_AT,
)


class _Example(NamedTuple):
    value: msgspec.Struct
    id: str
    key: str
    sequence: int | None = None


_EXAMPLES: Final[Mapping[type[msgspec.Struct], _Example]] = {
    Acknowledgement: _Example(_ACKNOWLEDGEMENT, f"{_SESSION}-17", _RECORD_KEY, 17),
    UserEvent: _Example(_USER_EVENT, f"{_SESSION}-18", _RECORD_KEY, 18),
    Operation: _Example(_OPERATION, f"123456789-acknowledged-{_AT}", "123456789"),
    Session: _Example(_GAP, f"{_SESSION}-gap", _ACCOUNT),
    Unrecognized: _Example(_UNRECOGNIZED, f"{_SESSION}-19", _ACCOUNT, 19),
    DeadLetter: _Example(_DEAD_LETTER, f"{_SESSION}-18-dead-letter", _RECORD_KEY, 18),
}


def example_of(kind: Kind) -> Record:
    """Return a record of that kind."""
    example = _EXAMPLES[kind.struct]
    key = example.key.encode()
    sequence = None if example.sequence is None else str(example.sequence).encode()
    headers = HeaderTemplate(kind.event_type, kind.schema, _ACCOUNT, _AT).headers(
        example.id.encode(), key, sequence=sequence
    )
    return Record(kind.topic, key, msgspec.json.encode(example.value), headers)
