"""A user event: a DeviceUserEventMessage, what the agent desktops on a device hear of their outbound records."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.events.fields import INT64_MAX, Account, Int64, JsonObjectOrNull, Original, ReplyReceivedAt, Time

TOPIC = "user-events.v1"
TYPE = "gws.user-event.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:user-event:v1"


class Processing(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """How long Web Services worked on the event."""

    node_nanos: Annotated[
        Int64 | None,
        Meta(
            description="Nanoseconds in the node that sent it. Source: metrics.eventProcessing.nodeProcessingTimeNanos."
        ),
    ]
    server_ms: Annotated[
        Annotated[int, Meta(ge=0, le=INT64_MAX)] | None,
        Meta(
            description="Milliseconds in all; null for Web Services' -1, not measured. "
            "Source: metrics.eventProcessing.serverProcessingTimeTotalMs."
        ),
    ]


class UserEvent(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """What the desktops on a device hear of their outbound records.

    A DeviceUserEventMessage on /me/internal (Web Services API, Outbound). Null where Web Services sent nothing, or
    nothing legible: then see `original`.
    """

    user_event: Annotated[
        str | None,
        Meta(
            description="What happened, for example `DoNotCallAcknowledge`, `CampaignStarted`. Source: GSW_USER_EVENT."
        ),
    ]
    record_handle: Annotated[
        Int64 | None,
        Meta(description="Handle of the record; null where the event concerns no record. Source: GSW_RECORD_HANDLE."),
    ]
    application_id: Annotated[Int64 | None, Meta(description="Id of the OCS application. Source: GSW_APPLICATION_ID.")]
    campaign_name: Annotated[str | None, Meta(description="Name of the outbound campaign. Source: GSW_CAMPAIGN_NAME.")]
    calling_list: Annotated[str | None, Meta(description="Name of the calling list. Source: GSW_CALLING_LIST.")]
    phone_number: Annotated[
        str | None, Meta(description="Phone number of the record; personal data. Source: GSW_PHONE.")
    ]
    chain_id: Annotated[Int64 | None, Meta(description="Id of the record chain. Source: GSW_CHAIN_ID.", examples=[7])]
    chain_attribute: Annotated[str | None, Meta(description="`AllChain` or `RecordOnly`. Source: GSW_CHAIN_ATTR.")]
    device_id: Annotated[str | None, Meta(description="Id of the device. Source: data.deviceId.")]
    generated_at: Annotated[
        Time | None,
        Meta(
            description="When Web Services made the event, RFC 3339, UTC. "
            "Source: metrics.eventProcessing.serverGenerationTimestamp (epoch milliseconds)."
        ),
    ]
    processing: Annotated[
        Processing | None,
        Meta(description="How long Web Services worked on the event; null where it does not say."),
    ]
    user_data: Annotated[
        JsonObjectOrNull,
        Meta(description="The whole user data: GSW_ keys and the site's own, of whatever type. Source: data.userData."),
    ]
    account: Account
    received_at: ReplyReceivedAt
    original: Original
