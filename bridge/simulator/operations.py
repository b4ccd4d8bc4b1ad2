"""The outbound operations of Web Services: required parameters, and the two CometD messages that answer an operation.

Source: the Outbound API pages of the Web Services documentation. All operations use the message format that the pages
show for DoNotCallRecord.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

OUTBOUND = "/v2/me/outbound"
INTERNAL = "/me/internal"
PREVIEW_SESSION_STARTED = "PreviewSessionStarted"
PREVIEW_RECORD = "PreviewRecord"

Body = Mapping[str, object]
Event = tuple[str, dict[str, object]]  # channel, data


@dataclass(frozen=True)
class Operation:
    """An operation: its notificationType, and the required parameters for each form of the URL.

    None instead of parameters means that the operation does not exist in this form.
    """

    notification: str
    with_handle: tuple[str, ...] | None = None
    without_handle: tuple[str, ...] | None = None
    with_campaign: tuple[str, ...] | None = None

    def required(self, *, handle: bool, campaign: bool) -> tuple[str, ...] | None:
        """Return the required parameters for a form of the URL. Return None if the operation has no such form."""
        if campaign:
            return self.with_campaign
        return self.with_handle if handle else self.without_handle


_ALWAYS = ("applicationId", "devicePath")
_RECORD = (*_ALWAYS, "campaignName")

OPERATIONS: Mapping[str, Operation] = {
    "DoNotCallRecord": Operation("DoNotCallAcknowledge", (*_RECORD, "callingList"), (*_RECORD, "phoneNumber")),
    "GetChainedRecord": Operation("ChainedRecordsDataEnd", _RECORD),
    "UpdateRecord": Operation("UpdateCallCompletionStatsAcknowledge", _RECORD),
    "CompleteRecord": Operation("RecordProcessedAcknowledge", _RECORD),
    "RejectRecord": Operation("RecordRejectAcknowledge", (*_RECORD, "callingList")),
    "RescheduleRecord": Operation("ScheduledRecordRescheduleAcknowledge", (*_RECORD, "callbackType", "timestamp")),
    "AddRecord": Operation(
        "AddRecordAcknowledge", None, (*_RECORD, "phoneNumber", "timeZone", "phoneType", "from", "until")
    ),
    "StartPreviewSession": Operation(PREVIEW_SESSION_STARTED, with_campaign=_ALWAYS),
    "GetPreviewRecord": Operation(PREVIEW_RECORD, with_campaign=_ALWAYS),
}


def answers(operation: Operation, body: Body, *, handle: int | None, campaign: str | None) -> list[Event]:
    """Return the acknowledgement and, for a calling record, the user event, in the order of the documented example."""
    record = {**body, **({"campaignName": campaign} if campaign is not None else {})}
    message: dict[str, object]
    if operation.notification == PREVIEW_SESSION_STARTED:
        message = {"campaign": _campaign(record)}
    elif operation.notification == PREVIEW_RECORD:
        message = {"record": {"userData": _preview(record)}}
    else:
        message = {"record": _record(record, handle)}
    message["notificationType"] = operation.notification
    message["messageType"] = "OutboundCampaignMessage" if "campaign" in message else "OutboundRecordMessage"
    if "referenceId" in body:
        message["referenceId"] = body["referenceId"]
    events: list[Event] = [(OUTBOUND, message)]
    if campaign is None:
        events.append((INTERNAL, _user_event(operation, record, handle)))
    return events


def _record(body: Body, handle: int | None) -> dict[str, object]:
    """Return the record of an acknowledgement, which has a phone number only if it has no handle."""
    named = {"recordHandle": handle} if handle is not None else {"phoneNumber": body.get("phoneNumber")}
    kept = ("devicePath", "callingList", "applicationId", "campaignName")
    return {**{name: body[name] for name in kept if name in body}, **named}


def _user_event(operation: Operation, body: Body, handle: int | None) -> dict[str, object]:
    """Return the user event, which has the chain attribute and the phone number, but never a referenceId."""
    user_data = {
        "GSW_CHAIN_ATTR": body.get("chainAttribute"),
        "GSW_APPLICATION_ID": body.get("applicationId"),
        "GSW_RECORD_HANDLE": handle,
        "GSW_USER_EVENT": operation.notification,
        "GSW_CALLING_LIST": body.get("callingList"),
        "GSW_PHONE": body.get("phoneNumber"),
        "GSW_CAMPAIGN_NAME": body.get("campaignName"),
    }
    processing = {
        "serverGenerationTimestamp": time.time_ns() // 1_000_000,
        "nodeProcessingTimeNanos": 4352048,
        "serverProcessingTimeTotalMs": 5,
    }
    return {
        "metrics": {"eventProcessing": processing},
        "userData": {name: value for name, value in user_data.items() if value is not None},
        "deviceId": str(body.get("devicePath", "")).removeprefix("/devices/"),
        "messageType": "DeviceUserEventMessage",
    }


def _campaign(body: Body) -> dict[str, object]:
    return {
        "name": body.get("campaignName"),
        "dialingMode": "Preview",
        "groupName": "Group1",
        "state": "Running",
        "devicePath": body.get("devicePath"),
        "applicationId": body.get("applicationId"),
        "groupDescription": "",
        "description": "",
    }


def _preview(body: Body) -> dict[str, object]:
    return {
        "GSW_RECORD_HANDLE": 21,
        "GSW_APPLICATION_ID": body.get("applicationId"),
        "GSW_CAMPAIGN_NAME": body.get("campaignName"),
        "GSW_CALLING_LIST": "CallingList1",
        "GSW_PHONE": "3001",
        "GSW_ATTEMPTS": 0,
        "InteractionType": "Outbound",
        "InteractionSubtype": "OutboundNew",
    }
