"""The body of a message from Web Services, with the documented type of each field.

The strict decoder runs first, because it is fast. If a field has another type, `tolerant` decodes every field
separately. Both decoders return the same values for a body that the strict decoder accepts. Source: the pages on
DoNotCallRecord
and the other operations. These pages show three kinds of `record` (ids, `userData`, `customFields`).
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar, get_args

import msgspec

from bridge.errors import UNDECODABLE
from bridge.webservices.messages.normalise import INT64_MAX, INT64_MIN, integer, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

"""The errors of the decoders: not JSON, a string that is not UTF-8, nested too deep."""


def _only_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


# Each alias has the type for the strict decoder, and the function with which `tolerant` converts any value.
_Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
Integer: TypeAlias = Annotated[_Int64 | None, integer]
Digits: TypeAlias = Annotated[_Int64 | str | None, integer]
"""A number that Web Services often sends as text. The strict decoder accepts number and text. Callers convert the value
by `integer`."""
Text: TypeAlias = Annotated[str | None, text]
Reference: TypeAlias = Annotated[str | _Int64 | None, text]
"""Text that Web Services often sends as a number. The strict decoder accepts text and number. Callers convert the value
by `text`."""
Word: TypeAlias = Annotated[str | None, _only_text]


class UserData(msgspec.Struct, gc=False):
    """The GSW_ keys that the bridge reads from the user data of a record or a user event."""

    application_id: Digits = msgspec.field(name="GSW_APPLICATION_ID", default=None)
    campaign_name: Text = msgspec.field(name="GSW_CAMPAIGN_NAME", default=None)
    record_handle: Digits = msgspec.field(name="GSW_RECORD_HANDLE", default=None)
    phone_number: Text = msgspec.field(name="GSW_PHONE", default=None)
    calling_list: Text = msgspec.field(name="GSW_CALLING_LIST", default=None)
    user_event: Text = msgspec.field(name="GSW_USER_EVENT", default=None)
    chain_id: Digits = msgspec.field(name="GSW_CHAIN_ID", default=None)
    chain_attribute: Text = msgspec.field(name="GSW_CHAIN_ATTR", default=None)


class RecordBody(msgspec.Struct, rename="camel", gc=False):
    """The `record` of an OutboundRecordMessage, with the fields of all three kinds."""

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
    """The `metrics.eventProcessing` of a message. The timestamp is in milliseconds since the epoch."""

    server_generation_timestamp: Integer = None
    node_processing_time_nanos: Integer = None
    server_processing_time_total_ms: Integer = None


class Metrics(msgspec.Struct, rename="camel", gc=False):
    """The `metrics` of a message."""

    event_processing: EventProcessing | None = None


class Body(msgspec.Struct, rename="camel", gc=False):
    """The fields that the bridge reads from the `data` of both kinds of messages. `user_data` is empty if missing."""

    message_type: Word = None
    notification_type: Text = None
    reference_id: Reference = None
    record: RecordBody | None = None
    device_id: Text = None
    metrics: Metrics | None = None
    user_data: msgspec.Raw = msgspec.Raw()


decode_body = msgspec.json.Decoder(Body).decode
"""Decodes a body strictly. Raises one of the errors in UNDECODABLE (a `ValidationError` if only a type is wrong)."""
decode_user_data = msgspec.json.Decoder(UserData).decode
"""Decodes `Body.user_data` strictly. Raises one of the errors in UNDECODABLE if any field has a wrong type."""
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_value = msgspec.json.Decoder().decode
S = TypeVar("S", bound=msgspec.Struct)


def tolerant(kind: type[S], raw: msgspec.Raw) -> S | None:
    """Decode each field of a JSON object separately. A field that can't be converted is None.

    Return None if the JSON value is no object.
    """
    try:
        members = _decode_members(raw)
    except UNDECODABLE:
        return None
    return kind(**{name: read(members[key]) for name, key, read in _readers(kind) if key in members})


@cache
def _readers(kind: type[msgspec.Struct]) -> Sequence[tuple[str, str, Callable[[msgspec.Raw], object]]]:
    """Return each field of a struct: its Python name, its JSON name, and the function that decodes its value."""
    return [(field.name, field.encode_name, _reader(field.type)) for field in msgspec.structs.fields(kind)]


def _reader(annotation: object) -> Callable[[msgspec.Raw], object]:
    if annotation is msgspec.Raw:
        return msgspec.Raw
    first, second, *_ = get_args(annotation)  # of `Annotated[..., reads]`, or of `Struct | None`
    if second is type(None):
        return partial(tolerant, first)
    return lambda raw: second(_value(raw))


def _value(raw: msgspec.Raw) -> object:
    """Return any JSON value, None if it can't be decoded (a number over 64 bits, nested too deep)."""
    try:
        value: object = _decode_value(raw)
    except UNDECODABLE:
        return None
    return value
