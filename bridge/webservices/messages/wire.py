"""The body of a message as Web Services sends it, decoded once: strictly first, which is fast, tolerantly if need be.

Both ways end in the same `Body`, and agree wherever the strict one accepts. The shapes: web services' pages on
DoNotCallRecord and its sisters; the three kinds of `record` (ids, `userData`, `customFields`) are theirs.
"""

from __future__ import annotations

import codecs
import json
from typing import Annotated, Final, TypeAlias

import msgspec

from bridge.webservices.messages.normalise import INT64_MAX, INT64_MIN, integer, text

Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding may raise: not JSON, not UTF-8 in a string, nested too deep."""


class UserData(msgspec.Struct, gc=False):
    """The GSW_ keys of a record's or a user event's data; all others are left out.

    Its numbers often come as text, which is too common for the slow way: read them with `integer`.
    """

    application_id: Int64 | str | None = msgspec.field(name="GSW_APPLICATION_ID", default=None)
    campaign_name: str | None = msgspec.field(name="GSW_CAMPAIGN_NAME", default=None)
    record_handle: Int64 | str | None = msgspec.field(name="GSW_RECORD_HANDLE", default=None)
    phone_number: str | None = msgspec.field(name="GSW_PHONE", default=None)
    calling_list: str | None = msgspec.field(name="GSW_CALLING_LIST", default=None)
    user_event: str | None = msgspec.field(name="GSW_USER_EVENT", default=None)
    chain_id: Int64 | str | None = msgspec.field(name="GSW_CHAIN_ID", default=None)
    chain_attribute: str | None = msgspec.field(name="GSW_CHAIN_ATTR", default=None)


class RecordBody(msgspec.Struct, rename="camel", gc=False):
    """`record` of an OutboundRecordMessage, in any of its three kinds."""

    record_handle: Int64 | None = None
    application_id: Int64 | None = None
    campaign_name: str | None = None
    calling_list: str | None = None
    device_path: str | None = None
    phone_number: str | None = None
    phone: str | None = None
    user_data: UserData | None = None
    custom_fields: UserData | None = None


class EventProcessing(msgspec.Struct, rename="camel", gc=False):
    """`metrics.eventProcessing`: epoch milliseconds, nanoseconds, milliseconds."""

    server_generation_timestamp: Int64 | None = None
    node_processing_time_nanos: Int64 | None = None
    server_processing_time_total_ms: Int64 | None = None


class Metrics(msgspec.Struct, rename="camel", gc=False):
    """`metrics` of a message."""

    event_processing: EventProcessing | None = None


class Body(msgspec.Struct, rename="camel", gc=False):
    """`data` of a message: the fields of both kinds that the bridge reads. `user_data` is empty where there is none."""

    message_type: str | None = None
    notification_type: str | None = None
    reference_id: str | Int64 | None = None
    """Web Services' own references are numbers: that is too common for the slow way."""
    record: RecordBody | None = None
    device_id: str | None = None
    metrics: Metrics | None = None
    user_data: msgspec.Raw = msgspec.Raw()


Fields: TypeAlias = dict[str, msgspec.Raw]

decode_body = msgspec.json.Decoder(Body).decode
"""The strict way. Raises one of UNREADABLE; a `ValidationError` where only a type is wrong."""
decode_user_data = msgspec.json.Decoder(UserData).decode
"""The strict way for `Body.user_data`."""
_decode_fields = msgspec.json.Decoder(Fields).decode
_PIECE: Final = 1 << 20
_skip = msgspec.json.Decoder(msgspec.Raw).decode
_decode_value = msgspec.json.Decoder().decode
_ABSENT = msgspec.Raw(b"null")


def fields_of(raw: msgspec.Raw | bytes) -> Fields | None:
    """Return the members of a JSON object, not decoded; None for anything else."""
    try:
        return _decode_fields(raw)
    except UNREADABLE:
        return None


def is_json(data: bytes) -> bool:
    """Tell whether these are bytes that a consumer can read: UTF-8 throughout, and JSON (RFC 8259)."""
    try:
        data.decode()
        _skip(data)
    except UNREADABLE:
        return False
    return True


def value_of(raw: msgspec.Raw) -> object:
    """Return any JSON value; None where it can't be read (beyond 64 bit, nested too deep)."""
    try:
        value: object = _decode_value(raw)
    except UNREADABLE:
        return None
    return value


def tolerant_body(fields: Fields) -> Body:
    """Read each field for itself: one that is not what it should be is None, and the others stay."""
    message_type = value_of(fields.get("messageType", _ABSENT))
    return Body(
        message_type=message_type if isinstance(message_type, str) else None,
        notification_type=_text(fields, "notificationType"),
        reference_id=_text(fields, "referenceId"),
        record=_tolerant_record(fields_of(fields.get("record", _ABSENT))),
        device_id=_text(fields, "deviceId"),
        metrics=_tolerant_metrics(fields_of(fields.get("metrics", _ABSENT))),
        user_data=fields.get("userData", msgspec.Raw()),
    )


def tolerant_user_data(raw: msgspec.Raw) -> UserData | None:
    """Read each GSW_ key for itself; None where the user data is no object."""
    fields = fields_of(raw)
    if fields is None:
        return None
    return UserData(
        application_id=_integer(fields, "GSW_APPLICATION_ID"),
        campaign_name=_text(fields, "GSW_CAMPAIGN_NAME"),
        record_handle=_integer(fields, "GSW_RECORD_HANDLE"),
        phone_number=_text(fields, "GSW_PHONE"),
        calling_list=_text(fields, "GSW_CALLING_LIST"),
        user_event=_text(fields, "GSW_USER_EVENT"),
        chain_id=_integer(fields, "GSW_CHAIN_ID"),
        chain_attribute=_text(fields, "GSW_CHAIN_ATTR"),
    )


LARGEST_REPAIRED: Final = 4 << 20
"""Bytes. The standard library makes an object of each value, which can take thirty times the bytes."""


def repaired(data: bytes) -> bytes | None:
    """Write JSON anew whose strings are not all text (no UTF-8, half surrogates); None where it is no JSON.

    What can't be text is replaced (U+FFFD, `?`); a bare NaN or Infinity becomes null. Data over `LARGEST_REPAIRED` is
    not looked through: None too.
    """
    if len(data) > LARGEST_REPAIRED:
        return None
    try:
        value = json.loads(data.decode(errors="replace"), parse_constant=lambda _: None)
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode(errors="replace")
    except (ValueError, RecursionError):
        return None


def json_string(data: bytes) -> bytearray:
    """Write bytes as one JSON string, with U+FFFD for what is no UTF-8.

    Piece by piece: a single character that is not ASCII doubles or quadruples the memory of the text that has it.
    """
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    content = memoryview(data)
    text = bytearray(b'"')
    for at in range(0, len(data), _PIECE):
        text += msgspec.json.encode(decode(content[at : at + _PIECE]))[1:-1]
    text += msgspec.json.encode(decode(b"", final=True))[1:]
    return text


def _tolerant_record(fields: Fields | None) -> RecordBody | None:
    if fields is None:
        return None
    return RecordBody(
        record_handle=_integer(fields, "recordHandle"),
        application_id=_integer(fields, "applicationId"),
        campaign_name=_text(fields, "campaignName"),
        calling_list=_text(fields, "callingList"),
        device_path=_text(fields, "devicePath"),
        phone_number=_text(fields, "phoneNumber"),
        phone=_text(fields, "phone"),
        user_data=tolerant_user_data(fields.get("userData", _ABSENT)),
        custom_fields=tolerant_user_data(fields.get("customFields", _ABSENT)),
    )


def _tolerant_metrics(fields: Fields | None) -> Metrics | None:
    times = None if fields is None else fields_of(fields.get("eventProcessing", _ABSENT))
    if times is None:
        return None
    return Metrics(
        EventProcessing(
            _integer(times, "serverGenerationTimestamp"),
            _integer(times, "nodeProcessingTimeNanos"),
            _integer(times, "serverProcessingTimeTotalMs"),
        )
    )


def _integer(fields: Fields, name: str) -> int | None:
    return integer(value_of(fields.get(name, _ABSENT)))


def _text(fields: Fields, name: str) -> str | None:
    return text(value_of(fields.get(name, _ABSENT)))
