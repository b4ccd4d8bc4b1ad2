"""Repairs JSON that consumers could not parse."""

from __future__ import annotations

import codecs
import json
from typing import Final

import msgspec

from bridge.errors import UNDECODABLE

LARGEST_REPAIRED: Final = 4 << 20
"""Bytes. Longer data is not repaired, because the standard library's objects need up to thirty times as much memory."""
_PIECE: Final = 1 << 20
_skip = msgspec.json.Decoder(msgspec.Raw).decode


def is_json(data: bytes) -> bool:
    """Return whether the bytes are valid UTF-8 and valid JSON (RFC 8259)."""
    try:
        data.decode()
        _skip(data)
    except UNDECODABLE:
        return False
    return True


def repaired(data: bytes) -> bytes | None:
    """Return valid JSON for JSON with invalid strings (not UTF-8, half a surrogate pair) or a bare NaN or Infinity.

    Invalid characters become U+FFFD or `?`, and a bare NaN or Infinity becomes null. Return None if the data is not
    JSON, or longer than `LARGEST_REPAIRED`.
    """
    if len(data) > LARGEST_REPAIRED:
        return None
    try:
        value = json.loads(data.decode(errors="replace"), parse_constant=lambda _: None)
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode(errors="replace")
    except UNDECODABLE:
        return None


def json_string(data: bytes) -> bytearray:
    """Return the bytes as one JSON string. Bytes that are not UTF-8 become U+FFFD.

    The data is decoded in pieces, because one non-ASCII character doubles or quadruples the memory of a Python string.
    """
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    content = memoryview(data)
    text = bytearray(b'"')
    for at in range(0, len(data), _PIECE):
        text += msgspec.json.encode(decode(content[at : at + _PIECE]))[1:-1]
    text += msgspec.json.encode(decode(b"", final=True))[1:]
    return text
