"""Messages as Web Services sends them: the documented ones of the Outbound API, and kinds seen beside them."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from bridge.cometd.messages.batch import Event
from tests import page


class Sample(NamedTuple):
    """One message: its channel and its `data`."""

    channel: str
    data: dict[str, Any]

    @property
    def raw(self) -> msgspec.Raw:
        """`data` as the bytes of its JSON."""
        return msgspec.Raw(msgspec.json.encode(self.data))

    @property
    def event(self) -> Event:
        """The message as the CometD session hands it over."""
        return Event(self.channel, self.raw)


ACKNOWLEDGEMENT = Sample(**page.ACKNOWLEDGEMENT)
"""The page's acknowledgement."""

USER_EVENT = Sample(**page.USER_EVENT)
"""The page's user event."""

BY_PHONE_NUMBER = Sample(
    "/v2/me/outbound",
    {
        "record": {
            "devicePath": page.DEVICE_PATH,
            "applicationId": 134,
            "phoneNumber": "3001",
            "campaignName": "Campaign1",
        },
        "notificationType": "DoNotCallAcknowledge",
        "messageType": "OutboundRecordMessage",
        "referenceId": "123456790",
    },
)
"""By phone number: no recordHandle, callingList may be missing."""

NUMERIC_REFERENCE = Sample(
    "/v2/me/outbound",
    {
        "record": {
            "devicePath": page.DEVICE_PATH,
            "callingList": "CallingList1",
            "applicationId": 134,
            "recordHandle": 14,
            "campaignName": "Campaign1",
        },
        "notificationType": "RecordRejectAcknowledge",
        "messageType": "OutboundRecordMessage",
        "referenceId": 66,
    },
)
"""Numeric referenceId, as Web Services makes them itself."""

NO_REFERENCE = Sample(
    "/v2/me/outbound",
    {
        "record": {
            "devicePath": page.DEVICE_PATH,
            "callingList": "CallingList1",
            "applicationId": 134,
            "recordHandle": 15,
            "campaignName": "Campaign1",
        },
        "notificationType": "RecordProcessedAcknowledge",
        "messageType": "OutboundRecordMessage",
    },
)
"""No referenceId: asked for by another desktop."""

USER_EVENT_WITH_TEXT = Sample(
    "/me/internal",
    {
        "userData": {
            "GSW_APPLICATION_ID": "134",
            "GSW_RECORD_HANDLE": "13",
            "GSW_USER_EVENT": "DoNotCallAcknowledge",
            "GSW_CALLING_LIST": "CallingList1",
            "GSW_CAMPAIGN_NAME": "Campaign1",
        },
        "deviceId": page.DEVICE,
        "messageType": "DeviceUserEventMessage",
    },
)
"""User event with text where numbers are documented."""

CAMPAIGN_STATUS = Sample(
    "/me/internal",
    {
        "metrics": {
            "eventProcessing": {
                "serverGenerationTimestamp": 1433915450999,
                "nodeProcessingTimeNanos": 101,
                "serverProcessingTimeTotalMs": -1,
            }
        },
        "userData": {
            "GSW_USER_EVENT": "CampaignStarted",
            "GSW_CAMPAIGN_NAME": "Campaign1",
            "GSW_APPLICATION_ID": 134,
            "GSW_CAMPAIGN_MODE": "Preview",
        },
        "deviceId": page.DEVICE,
        "messageType": "DeviceUserEventMessage",
    },
)
"""User event that is no outbound record: campaign status for all desktops on the device."""

PREVIEW_RECORD = Sample(
    "/v2/me/outbound",
    {
        "record": {
            "userData": {
                "GSW_RECORD_HANDLE": 21,
                "GSW_APPLICATION_ID": 134,
                "GSW_CAMPAIGN_NAME": "Campaign1",
                "GSW_CALLING_LIST": "CallingList1",
                "GSW_PHONE": "3001",
                "GSW_ATTEMPTS": 0,
                "InteractionType": "Outbound",
                "InteractionSubtype": "OutboundNew",
                "customer_tier": "gold",
            }
        },
        "notificationType": "PreviewRecord",
        "messageType": "OutboundRecordMessage",
        "referenceId": "123456791",
    },
)
"""Preview record: userData inside record, mixed types and custom fields."""

PUSH_PREVIEW = Sample(
    "/v2/me/outbound",
    {
        "record": {
            "id": "0a9f7c2e-52a3-4f0e-8d1f-1a2b3c4d5e6f",
            "state": "ReadyToCall",
            "phone": "3001",
            "customFields": {"GSW_RECORD_HANDLE": 22, "GSW_APPLICATION_ID": 134, "GSW_CAMPAIGN_NAME": "Campaign1"},
            "uri": "http://gws.example/api/v2/me/outbound/0a9f",
            "path": "/me/outbound/0a9f",
        },
        "notificationType": "StatusChanged",
        "messageType": "OutboundRecordMessage",
    },
)
"""Push preview: id and customFields instead."""

CAMPAIGN_MESSAGE = Sample(
    "/v2/me/outbound",
    {
        "campaign": {
            "name": "Campaign1",
            "dialingMode": "Preview",
            "groupName": "Group1",
            "state": "Running",
            "devicePath": page.DEVICE_PATH,
            "applicationId": 134,
            "groupDescription": "",
            "description": "",
        },
        "notificationType": "PreviewSessionStarted",
        "messageType": "OutboundCampaignMessage",
        "referenceId": "123456792",
    },
)
"""Campaign message on the same channel."""

ERROR = Sample(
    "/v2/me/devices",
    {
        "messageType": "ErrorMessage",
        "metrics": {
            "eventProcessing": {
                "serverGenerationTimestamp": 1433915451200,
                "nodeProcessingTimeNanos": 90,
                "serverProcessingTimeTotalMs": -1,
            }
        },
        "devicePath": page.DEVICE_PATH,
        "deviceUri": f"http://gws.example/api/v2{page.DEVICE_PATH}",
    },
)
"""Asynchronous error: no code, no text, no reference."""

DEVICE_STATE = Sample(
    "/v2/me/devices",
    {
        "messageType": "DeviceStateChangeMessage",
        "devices": [
            {
                "id": page.DEVICE,
                "deviceState": "Active",
                "userState": {"displayName": "Ready", "state": "Ready"},
                "phoneNumber": "5001",
                "doNotDisturb": "Off",
            }
        ],
        "metrics": {
            "eventProcessing": {
                "serverGenerationTimestamp": 1433915451300,
                "nodeProcessingTimeNanos": 80,
                "serverProcessingTimeTotalMs": 2,
            }
        },
    },
)
"""Device state, arrives by the /v2/me/* subscription."""

SAMPLES = (
    ACKNOWLEDGEMENT,
    USER_EVENT,
    BY_PHONE_NUMBER,
    NUMERIC_REFERENCE,
    NO_REFERENCE,
    USER_EVENT_WITH_TEXT,
    CAMPAIGN_STATUS,
    PREVIEW_RECORD,
    PUSH_PREVIEW,
    CAMPAIGN_MESSAGE,
    ERROR,
    DEVICE_STATE,
)
