"""The user event, made from a DeviceUserEventMessage."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.events.fields import INT64_MAX, Account, Int64, JsonObjectOrNull, Original, ReplyReceivedAt, Time

TOPIC = "user-events.v1"
TYPE = "gws.user-event.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:user-event:v1"


class Processing(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The times that Web Services took for the event."""

    node_nanos: Annotated[
        Int64 | None,
        Meta(
            description="Nanoseconds in the node that sent the event. "
            "Source: metrics.eventProcessing.nodeProcessingTimeNanos."
        ),
    ]
    server_ms: Annotated[
        Annotated[int, Meta(ge=0, le=INT64_MAX)] | None,
        Meta(
            description="Milliseconds in total; null if Web Services did not measure (it sends -1). "
            "Source: metrics.eventProcessing.serverProcessingTimeTotalMs."
        ),
    ]


class UserEvent(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """A user event. Web Services sends it to the desktops of a device, about an outbound record or a campaign.

    Its source is a DeviceUserEventMessage on /me/internal (Web Services API, Outbound). A field is null if Web Services
    sent no valid value. `original` has the whole message.
    """

    user_event: Annotated[
        str | None,
        Meta(
            description="What happened, for example `DoNotCallAcknowledge`, `CampaignStarted`. Source: GSW_USER_EVENT."
        ),
    ]
    record_handle: Annotated[
        Int64 | None,
        Meta(description="Handle of the record; null if the event has no record. Source: GSW_RECORD_HANDLE."),
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
        Meta(description="The times that Web Services took for the event; null if Web Services did not send them."),
    ]
    user_data: Annotated[
        JsonObjectOrNull,
        Meta(description="All user data: GSW_ keys and the site's own keys, of any type. Source: data.userData."),
    ]
    account: Account
    received_at: ReplyReceivedAt
    original: Original
