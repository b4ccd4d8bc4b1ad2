"""The acknowledgement event, made from an OutboundRecordMessage."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.events.fields import Account, Int64, Original, ReplyReceivedAt

TOPIC = "acknowledgements.v1"
TYPE = "gws.acknowledgement.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:acknowledgement:v1"


class Acknowledgement(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """The outcome of an operation, or a notification about an outbound record.

    Its source is an OutboundRecordMessage on /v2/me/outbound (Web Services API, Outbound). A field is null if Web
    Services sent no valid value. `original` has the whole message.
    """

    notification_type: Annotated[
        str | None,
        Meta(
            description="What happened, for example `DoNotCallAcknowledge`, `RecordRejectAcknowledge`, "
            "`PreviewRecord`, `StatusChanged`. Source: data.notificationType."
        ),
    ]
    reference_id: Annotated[
        str | None,
        Meta(
            description="Reference of the REST call that is acknowledged. A reference that is a number is given as its "
            "digits. Null for a request from an agent's desktop. Source: data.referenceId."
        ),
    ]
    record_handle: Annotated[
        Int64 | None,
        Meta(
            description="Handle of the record; null if only the phone number identifies the record. "
            "Source: data.record.recordHandle, else GSW_RECORD_HANDLE of userData or customFields."
        ),
    ]
    phone_number: Annotated[
        str | None,
        Meta(
            description="Phone number of the record; personal data. "
            "Source: data.record.phoneNumber, else phone, else GSW_PHONE of userData or customFields.",
            examples=["3001"],
        ),
    ]
    application_id: Annotated[
        Int64 | None,
        Meta(description="Id of the OCS application. Source: data.record.applicationId, else GSW_APPLICATION_ID."),
    ]
    campaign_name: Annotated[
        str | None,
        Meta(description="Name of the outbound campaign. Source: data.record.campaignName, else GSW_CAMPAIGN_NAME."),
    ]
    calling_list: Annotated[
        str | None,
        Meta(
            description="Name of the calling list; may be null if only the phone number identifies the record. "
            "Source: data.record.callingList, else GSW_CALLING_LIST."
        ),
    ]
    device_path: Annotated[
        str | None,
        Meta(description="Relative path of the device that was used for the request. Source: data.record.devicePath."),
    ]
    operation: Annotated[
        str | None,
        Meta(
            description="The `operationName` of the REST call that this notificationType belongs to; null for other "
            "notifications.",
            extra_json_schema={
                "enum": [
                    "DoNotCallRecord",
                    "RejectRecord",
                    "CompleteRecord",
                    "UpdateRecord",
                    "RescheduleRecord",
                    "AddRecord",
                    "GetPreviewRecord",
                    "GetChainedRecord",
                    None,
                ]
            },
        ),
    ]
    account: Account
    received_at: ReplyReceivedAt
    original: Original
