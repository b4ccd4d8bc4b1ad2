"""The body of a message as Web Services sends it: each field, its documented type, and what else is read as that.

A body is decoded strictly first, which is fast. Where a field is of another type, `tolerant` reads each field for
itself. Both ways end in the same struct, and agree wherever the strict one accepts. The shapes: web services' pages on
DoNotCallRecord and its sisters; the three kinds of `record` (ids, `userData`, `customFields`) are theirs.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar, get_args

import msgspec

from bridge.webservices.messages.normalise import INT64_MAX, INT64_MIN, integer, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding may raise: not JSON, not UTF-8 in a string, nested too deep."""


def _only_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


# Each alias is the strict type, and the function that reads a value of any other type.
_Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
Integer: TypeAlias = Annotated[_Int64 | None, integer]
Digits: TypeAlias = Annotated[_Int64 | str | None, integer]
"""A number that often comes as text, which is too common for the slow way: use `integer` on what was decoded."""
Text: TypeAlias = Annotated[str | None, text]
Reference: TypeAlias = Annotated[str | _Int64 | None, text]
"""Web Services' own references are numbers, which is too common for the slow way: use `text` on what was decoded."""
Word: TypeAlias = Annotated[str | None, _only_text]


class UserData(msgspec.Struct, gc=False):
    """The GSW_ keys of a record's or a user event's data; all others are left out."""

    application_id: Digits = msgspec.field(name="GSW_APPLICATION_ID", default=None)
    campaign_name: Text = msgspec.field(name="GSW_CAMPAIGN_NAME", default=None)
    record_handle: Digits = msgspec.field(name="GSW_RECORD_HANDLE", default=None)
    phone_number: Text = msgspec.field(name="GSW_PHONE", default=None)
    calling_list: Text = msgspec.field(name="GSW_CALLING_LIST", default=None)
    user_event: Text = msgspec.field(name="GSW_USER_EVENT", default=None)
    chain_id: Digits = msgspec.field(name="GSW_CHAIN_ID", default=None)
    chain_attribute: Text = msgspec.field(name="GSW_CHAIN_ATTR", default=None)


class RecordBody(msgspec.Struct, rename="camel", gc=False):
    """`record` of an OutboundRecordMessage, in any of its three kinds."""

    record_handle: Integer = None
    application_id: Integer = None
    campaign_name: Text = None
    calling_list: Text = None
    device_path: Text = None
    phone_number: Text = None
    phone: Text = None
    user_data: UserData | None = None
    custom_fields: UserData | None = None


class EventProcessing(msgspec.Struct, rename="camel", gc=False):
    """`metrics.eventProcessing`: epoch milliseconds, nanoseconds, milliseconds."""

    server_generation_timestamp: Integer = None
    node_processing_time_nanos: Integer = None
    server_processing_time_total_ms: Integer = None


class Metrics(msgspec.Struct, rename="camel", gc=False):
    """`metrics` of a message."""

    event_processing: EventProcessing | None = None


class Body(msgspec.Struct, rename="camel", gc=False):
    """`data` of a message: the fields of both kinds that the bridge reads. `user_data` is empty where there is none."""

    message_type: Word = None
    notification_type: Text = None
    reference_id: Reference = None
    record: RecordBody | None = None
    device_id: Text = None
    metrics: Metrics | None = None
    user_data: msgspec.Raw = msgspec.Raw()


decode_body = msgspec.json.Decoder(Body).decode
"""The strict way. Raises one of UNREADABLE; a `ValidationError` where only a type is wrong."""
decode_user_data = msgspec.json.Decoder(UserData).decode
"""Decodes `Body.user_data` strictly: one wrong type fails the whole."""
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_value = msgspec.json.Decoder().decode
S = TypeVar("S", bound=msgspec.Struct)


def tolerant(kind: type[S], raw: msgspec.Raw) -> S | None:
    """Read each field of a JSON object for itself: one that means nothing is None, and the others stay.

    Returns None for anything but an object.
    """
    try:
        members = _decode_members(raw)
    except UNREADABLE:
        return None
    return kind(**{name: read(members[key]) for name, key, read in _readers(kind) if key in members})


@cache
def _readers(kind: type[msgspec.Struct]) -> Sequence[tuple[str, str, Callable[[msgspec.Raw], object]]]:
    """Return each field of a struct: its name here, its name in JSON, and what reads its value."""
    return [(field.name, field.encode_name, _reader(field.type)) for field in msgspec.structs.fields(kind)]


def _reader(annotation: object) -> Callable[[msgspec.Raw], object]:
    if annotation is msgspec.Raw:
        return msgspec.Raw
    first, second, *_ = get_args(annotation)  # of `Annotated[..., reads]`, or of `Struct | None`
    if second is type(None):
        return partial(tolerant, first)
    return lambda raw: second(_value(raw))


def _value(raw: msgspec.Raw) -> object:
    """Return any JSON value; None where it can't be read (beyond 64 bit, nested too deep)."""
    try:
        value: object = _decode_value(raw)
    except UNREADABLE:
        return None
    return value
