"""A user event: a DeviceUserEventMessage, what the agent desktops on a device hear of their outbound records."""

from __future__ import annotations

import msgspec

TOPIC = "user-events.v1"
TYPE = "gws.user-event.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:user-event:v1"


class Processing(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """How long Web Services worked on the event."""

    node_nanos: int | None
    """Nanoseconds in the node that sent it."""
    server_ms: int | None
    """Milliseconds in all; None where Web Services says -1."""


class UserEvent(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """The value of a user event. What Web Services did not send, or not legibly, is None."""

    user_event: str | None
    """GSW_USER_EVENT, for example `DoNotCallAcknowledge`."""
    record_handle: int | None
    application_id: int | None
    campaign_name: str | None
    calling_list: str | None
    phone_number: str | None
    chain_id: int | None
    chain_attribute: str | None
    device_id: str | None
    generated_at: str | None
    """When Web Services made it, RFC 3339."""
    processing: Processing | None
    user_data: msgspec.Raw
    """The whole user data as a JSON object, or `null`."""
    account: str
    received_at: str
    """When the bridge received it, RFC 3339."""
    original: msgspec.Raw
    """The message's `data` as it came."""
