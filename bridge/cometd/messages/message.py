"""Decodes the envelope of Bayeux messages. The values of the fields stay undecoded bytes."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bridge.cometd.messages.batch import Event
from bridge.cometd.messages.json_array import LARGEST_SCANNED, array_elements, is_value
from bridge.errors import UNDECODABLE, ExchangeFailed

META: Final = "/meta/"
LARGEST_FIELD: Final = 64 << 10
"""Maximum bytes of a field of a `/meta/` message."""
LONGEST_CLIENT_ID: Final = 512
"""Maximum characters of a clientId. CometD's clientIds have about 30."""
_NOTHING: Final = msgspec.Raw()


class Message(Event, frozen=True, gc=False):
    """One message of a reply. All fields except the channel stay undecoded, so a wrong type does no harm."""

    id: msgspec.Raw = _NOTHING
    clientId: msgspec.Raw = _NOTHING  # noqa: N815 -- Bayeux's own name
    successful: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    subscription: msgspec.Raw = _NOTHING
    advice: msgspec.Raw = _NOTHING
    ext: msgspec.Raw = _NOTHING
    supportedConnectionTypes: msgspec.Raw = _NOTHING  # noqa: N815 -- Bayeux's own name


_META_FIELDS: Final = tuple(field for field in Message.__struct_fields__ if field not in Event.__struct_fields__)
_decode_messages = msgspec.json.Decoder(list[Message]).decode
_decode_message = msgspec.json.Decoder(Message).decode
_decode_any = msgspec.json.Decoder().decode


def decode(body: bytes, *, size: int | None = None) -> list[Message]:
    """Return the messages of a reply body, which is a JSON array or (Bayeux allows this too) one object.

    No element is lost: an element that is no Bayeux message becomes an event on the channel "", with the element's
    whole text as data. If `body` is only the end of a reply, `size` is the length of the whole reply.

    Raises:
        ExchangeFailed: `not-json`, the body is not JSON. Often the body is the HTML page of a proxy.
    """
    messages = decode_prefix(body)
    if messages is not None:
        return messages
    try:
        return [_tolerant(text) for text in array_elements(body.decode(errors="surrogateescape"))]
    except ValueError:
        raise _not_json(len(body) if size is None else size) from None  # the cause would quote the reply in logs


def decode_prefix(array: bytes) -> list[Message] | None:
    """Return the messages of an array, None if msgspec can't decode the array as a whole."""
    try:
        return _decode_messages(array)
    except UNDECODABLE:
        return None


def decode_element(element: bytes, *, size: int) -> Message:
    """Return the message of one element of an array. The rules and errors are the same as in `decode`.

    The caller has checked that the brackets of `element` match, so a large element is not scanned again.
    """
    try:
        return _decode_message(element)
    except UNDECODABLE:
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
    except UNDECODABLE:
        return Message(channel="", data=raw)


def meta(message: Message) -> dict[str, Any]:
    """Return a `/meta/` message as a dictionary, as aiocometd needs it.

    The dictionary omits a field that can't be decoded or is larger than `LARGEST_FIELD`.
    """
    fields: dict[str, Any] = {"channel": message.channel}
    for name in _META_FIELDS:
        raw = getattr(message, name)
        if raw != _NOTHING and len(bytes(raw)) <= LARGEST_FIELD:
            try:
                fields[name] = _decode_any(raw)
            except UNDECODABLE:
                continue
    fields["successful"] = fields.get("successful") is True
    return fields


def error_code(reply: dict[str, Any]) -> int | None:
    """Return the number of a reply's `error` (`402::Unknown client` → 402), None if it has no number.

    Source: Bayeux 1.0, the error field.
    """
    code, _, _ = _error(reply).partition(":")
    return int(code) if code.isascii() and code.isdecimal() and len(code) == 3 else None


def is_unknown_client(reply: dict[str, Any]) -> bool:
    """Return whether the server replied that it does not know the session.

    CometD sends 402, Salesforce's server sends `403::Unknown client` (cometd/cometd#2480).
    """
    return error_code(reply) == 402 or "unknown client" in _error(reply).lower()


def is_client_id(value: object) -> bool:
    """Return whether a handshake's `clientId` is printable ASCII of at most `LONGEST_CLIENT_ID` characters."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_CLIENT_ID and value.isascii() and value.isprintable()


def _error(reply: dict[str, Any]) -> str:
    error = reply.get("error")
    return str(error) if isinstance(error, str | int) else ""
