"""JSON that consumers could not read, made readable."""

from __future__ import annotations

import codecs
import json
from typing import Final

import msgspec

from bridge.webservices.messages.wire import UNREADABLE

LARGEST_REPAIRED: Final = 4 << 20
"""Bytes. The standard library makes an object of each value, which can take thirty times the bytes."""
_PIECE: Final = 1 << 20
_skip = msgspec.json.Decoder(msgspec.Raw).decode


def is_json(data: bytes) -> bool:
    """Tell whether these are bytes that a consumer can read: UTF-8 throughout, and JSON (RFC 8259)."""
    try:
        data.decode()
        _skip(data)
    except UNREADABLE:
        return False
    return True


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
