"""Bayeux messages as they come: envelopes decoded, everything else left as bytes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import msgspec

from bridge.cometd.messages.batch import Event
from bridge.cometd.messages.json_array import LARGEST_SCANNED, array_elements, is_value
from bridge.errors import ExchangeFailed

META: Final = "/meta/"
LARGEST_FIELD: Final = 64 << 10
"""Bytes of a field of a reply to one of our own messages."""
LONGEST_CLIENT_ID: Final = 512
"""Characters; CometD's have about 30."""
_NOTHING: Final = msgspec.Raw()


class Message(Event, frozen=True, gc=False):
    """One message of a reply. All but the channel stays raw, so that a wrong type in one can't spoil the others."""

    id: msgspec.Raw = _NOTHING
    clientId: msgspec.Raw = _NOTHING  # noqa: N815 -- Bayeux's own name
    successful: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    subscription: msgspec.Raw = _NOTHING
    advice: msgspec.Raw = _NOTHING
    ext: msgspec.Raw = _NOTHING
    supportedConnectionTypes: msgspec.Raw = _NOTHING  # noqa: N815 -- Bayeux's own name


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_META_FIELDS: Final = tuple(field for field in Message.__struct_fields__ if field not in Event.__struct_fields__)
_decode_messages = msgspec.json.Decoder(list[Message]).decode
_decode_message = msgspec.json.Decoder(Message).decode


def decode(body: bytes, *, size: int | None = None) -> list[Message]:
    """Return the messages of a reply body, a JSON array (or, as Bayeux allows too, one object).

    A message that is no Bayeux message at all comes as an event on the channel "", its whole text as data: it must not
    vanish, and it must not take its neighbours with it. `size` is the length of the reply that `body` is the end of.

    Raises:
        ExchangeFailed: `not-json`, the body is something else, most often a proxy's HTML page.
    """
    messages = decode_prefix(body)
    if messages is not None:
        return messages
    try:
        return [_tolerant(text) for text in array_elements(body.decode(errors="surrogateescape"))]
    except ValueError:
        raise _not_json(len(body) if size is None else size) from None  # the cause's text quotes the reply


def decode_prefix(array: bytes) -> list[Message] | None:
    """Return the messages of an array, None where they can't be read together."""
    try:
        return _decode_messages(array)
    except _UNREADABLE:
        return None


def decode_element(element: bytes, *, size: int) -> Message:
    """Return the message that one element of an array is; as `decode` does, which also has the error.

    The brackets of `element` are known to be in pairs: a large one is not looked through again.
    """
    try:
        return _decode_message(element)
    except _UNREADABLE:
        element = element.strip(b" \t\n\r")
    if len(element) > LARGEST_SCANNED and element[0] in b"[{":
        return Message(channel="", data=msgspec.Raw(element))
    text = element.decode(errors="surrogateescape")
    if not is_value(text):
        raise _not_json(size)
    return _tolerant(text)


def _not_json(size: int) -> ExchangeFailed:
    return ExchangeFailed("not-json", f"the reply of {size} bytes is not a JSON array of messages")


def _tolerant(text: str) -> Message:
    raw = msgspec.Raw(text.encode(errors="surrogateescape"))
    try:
        return _decode_message(raw)
    except _UNREADABLE:
        return Message(channel="", data=raw)


def meta(message: Message) -> dict[str, Any]:
    """Return a reply to one of our own messages as plain objects: the form that aiocometd works with.

    A field that can't be read, or is larger than any that a server has reason to send, is left out.
    """
    fields: dict[str, Any] = {"channel": message.channel}
    for name in _META_FIELDS:
        raw = getattr(message, name)
        if raw != _NOTHING and len(bytes(raw)) <= LARGEST_FIELD:
            with suppress(*_UNREADABLE):
                fields[name] = msgspec.json.decode(raw)
    fields["successful"] = fields.get("successful") is True
    return fields


def error_code(reply: dict[str, Any]) -> int | None:
    """Return the number of a reply's `error` (`402::Unknown client` → 402), None where there is none.

    Source: Bayeux 1.0, the error field.
    """
    code, _, _ = _error(reply).partition(":")
    return int(code) if code.isascii() and code.isdecimal() and len(code) == 3 else None


def is_unknown_client(reply: dict[str, Any]) -> bool:
    """Tell whether the server says that it does not know this session (any more).

    CometD says 402, Salesforce's server `403::Unknown client` (cometd/cometd#2480).
    """
    return error_code(reply) == 402 or "unknown client" in _error(reply).lower()


def is_client_id(value: object) -> bool:
    """Tell whether a handshake's `clientId` can be used: printable ASCII of a sensible length.

    It goes into every message, into the position in Kafka, and into the names of the session's events.
    """
    return isinstance(value, str) and 0 < len(value) <= LONGEST_CLIENT_ID and value.isascii() and value.isprintable()


def _error(reply: dict[str, Any]) -> str:
    error = reply.get("error")
    return str(error) if isinstance(error, str | int) else ""
