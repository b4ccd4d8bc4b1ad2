"""The example of the page DoNotCallRecord, to the letter: the request, and the two messages that answer it.

Written here and not taken from the bridge, so that the tests hold the bridge's own examples against it too.
"""

from typing import Any, Final

DEVICE: Final = "f32a46c4-8a48-4067-9965-537fc9788790"
DEVICE_PATH: Final = f"/devices/{DEVICE}"

REQUEST: Final[dict[str, Any]] = {
    "callingList": "CallingList1",
    "phoneNumber": "3001",
    "campaignName": "Campaign1",
    "devicePath": DEVICE_PATH,
    "operationName": "DoNotCallRecord",
    "applicationId": 134,
    "chainAttribute": "AllChain",
    "referenceId": "123456789",
}

ACKNOWLEDGEMENT: Final[dict[str, Any]] = {
    "data": {
        "record": {
            "devicePath": DEVICE_PATH,
            "callingList": "CallingList1",
            "applicationId": 134,
            "recordHandle": 13,
            "campaignName": "Campaign1",
        },
        "notificationType": "DoNotCallAcknowledge",
        "messageType": "OutboundRecordMessage",
        "referenceId": "123456789",
    },
    "channel": "/v2/me/outbound",
}

USER_EVENT: Final[dict[str, Any]] = {
    "data": {
        "metrics": {
            "eventProcessing": {
                "serverGenerationTimestamp": 1433915450788,
                "nodeProcessingTimeNanos": 4352048,
                "serverProcessingTimeTotalMs": 5,
            }
        },
        "userData": {
            "GSW_CHAIN_ATTR": "AllChain",
            "GSW_APPLICATION_ID": 134,
            "GSW_RECORD_HANDLE": 13,
            "GSW_USER_EVENT": "DoNotCallAcknowledge",
            "GSW_CALLING_LIST": "CallingList1",
            "GSW_PHONE": "3001",
            "GSW_CAMPAIGN_NAME": "Campaign1",
        },
        "deviceId": DEVICE,
        "messageType": "DeviceUserEventMessage",
    },
    "channel": "/me/internal",
}
