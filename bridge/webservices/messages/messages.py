"""Parses the messages that CometD delivers.

`data.messageType` distinguishes acknowledgements, user events and other messages.

Parsing never raises and loses nothing. A field that can't be parsed is None, and `original` has the whole message.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from bridge.errors import UNDECODABLE
from bridge.webservices.messages.normalise import integer, text
from bridge.webservices.messages.repair import is_json, json_string, repaired
from bridge.webservices.messages.wire import Body, UserData, decode_body, decode_user_data, tolerant
from bridge.webservices.outbound import NOTIFICATIONS

OUTBOUND_RECORD = "OutboundRecordMessage"
DEVICE_USER_EVENT = "DeviceUserEventMessage"

_NULL = msgspec.Raw(b"null")
_BLANKS = b" \t\n\r"
"""White space that JSON allows around a value (RFC 8259, section 2)."""


class OutboundRecord(msgspec.Struct, frozen=True, gc=False):
    """An OutboundRecordMessage: the acknowledgement of an operation, or a notification about a record."""

    original: msgspec.Raw
    notification_type: str | None = None
    reference_id: str | None = None
    operation: str | None = None
    application_id: int | None = None
    campaign_name: str | None = None
    record_handle: int | None = None
    phone_number: str | None = None
    calling_list: str | None = None
    device_path: str | None = None


class DeviceUserEvent(msgspec.Struct, frozen=True, gc=False):
    """A DeviceUserEventMessage: a user event that Web Services sends to the desktops of a device."""

    original: msgspec.Raw
    user_data: msgspec.Raw
    """A JSON object, or `null`."""
    device_id: str | None
    user_event: str | None
    application_id: int | None
    campaign_name: str | None
    record_handle: int | None
    phone_number: str | None
    calling_list: str | None
    chain_id: int | None
    chain_attribute: str | None
    timed: bool
    """Whether the message has processing times."""
    generated_ms: int | None
    """Milliseconds since the epoch."""
    node_nanos: int | None
    server_ms: int | None
    """None if Web Services sends -1, which means that it did not measure."""


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Any other message. `original` is always JSON: `null` if there was no data, a string if the data was not JSON."""

    original: msgspec.Raw
    reason: str
    """`unknown-message-type`, `no-message-type`, `not-an-object`, `no-data` or `invalid-json`."""
    message_type: str | None = None


Message: TypeAlias = OutboundRecord | DeviceUserEvent | Unknown


def parse(data: msgspec.Raw) -> Message:
    """Parse the `data` of one message. The function never raises."""
    try:
        str(data, "utf-8")  # checks all of the data; msgspec checks only the strings that it decodes
        body = decode_body(data)
    except UNDECODABLE:
        body = None  # don't call `parse_tolerantly` here, because the error keeps a copy of the data in memory
    return parse_tolerantly(data) if body is None else _message(body, data)


def parse_tolerantly(data: msgspec.Raw) -> Message:
    """Parse data that the strict parser refused. The result is `Unknown` if the data is no JSON object."""
    content = bytes(data)
    if content.strip(_BLANKS) in {b"", b"null"}:
        return Unknown(_NULL, "no-data")
    if not is_json(content):
        rewritten = repaired(content)
        if rewritten is None:
            return Unknown(msgspec.Raw(json_string(content)), "invalid-json")
        data = msgspec.Raw(rewritten)
    body = tolerant(Body, data)
    return Unknown(data, "not-an-object") if body is None else _message(body, data)


def _message(body: Body, data: msgspec.Raw) -> Message:
    message_type = body.message_type
    if message_type == OUTBOUND_RECORD:
        return _outbound_record(body, data)
    if message_type == DEVICE_USER_EVENT:
        return _device_user_event(body, data)
    return Unknown(data, "no-message-type" if message_type is None else "unknown-message-type", message_type)


def _outbound_record(body: Body, data: msgspec.Raw) -> OutboundRecord:
    notification_type = body.notification_type
    operation = None if notification_type is None else NOTIFICATIONS.get(notification_type)
    reference_id = text(body.reference_id)
    record = body.record
    if record is None:
        return OutboundRecord(data, notification_type, reference_id, operation)
    application_id = record.application_id
    campaign_name = record.campaign_name
    record_handle = record.record_handle
    phone_number = record.phone_number
    calling_list = record.calling_list
    if phone_number is None:
        phone_number = record.phone
    for more in (record.user_data, record.custom_fields):
        if more is not None:
            application_id = integer(more.application_id) if application_id is None else application_id
            campaign_name = more.campaign_name if campaign_name is None else campaign_name
            record_handle = integer(more.record_handle) if record_handle is None else record_handle
            phone_number = more.phone_number if phone_number is None else phone_number
            calling_list = more.calling_list if calling_list is None else calling_list
    return OutboundRecord(
        data,
        notification_type,
        reference_id,
        operation,
        application_id,
        campaign_name,
        record_handle,
        phone_number,
        calling_list,
        record.device_path,
    )


def _device_user_event(body: Body, data: msgspec.Raw) -> DeviceUserEvent:
    raw = body.user_data
    try:
        user_data = decode_user_data(raw)
    except UNDECODABLE:
        user_data, raw = _tolerant_user_data(raw)
    times = None if body.metrics is None else body.metrics.event_processing
    generated = node_nanos = server_ms = None
    if times is not None:
        generated = times.server_generation_timestamp
        node_nanos = times.node_processing_time_nanos
        server_ms = times.server_processing_time_total_ms
        if server_ms is not None and server_ms < 0:
            server_ms = None
    return DeviceUserEvent(
        data,
        raw,
        body.device_id,
        user_data.user_event,
        integer(user_data.application_id),
        user_data.campaign_name,
        integer(user_data.record_handle),
        user_data.phone_number,
        user_data.calling_list,
        integer(user_data.chain_id),
        user_data.chain_attribute,
        times is not None,
        generated,
        node_nanos,
        server_ms,
    )


_NO_USER_DATA = UserData()


def _tolerant_user_data(raw: msgspec.Raw) -> tuple[UserData, msgspec.Raw]:
    user_data = tolerant(UserData, raw)
    return (_NO_USER_DATA, _NULL) if user_data is None else (user_data, raw)
