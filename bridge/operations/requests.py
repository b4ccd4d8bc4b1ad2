"""Checks the request inside an operation's events, and decides what of it stays in memory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_NESTING: Final = 100
"""Objects and arrays inside each other: far from the interpreter's own limit, wherever the request is read."""
LARGEST_KEPT: Final = 4096
"""Bytes of a request that is kept whole. A request of the pages has a few hundred."""
LARGEST_MEMBER: Final = 256
"""Bytes of the JSON of a member that `shortened` keeps."""
_NAMES: Final = ("applicationId", "campaignName", "phoneNumber", "operationName", "referenceId")
"""The members that `shortened` keeps first: they tell the record and the operation."""


class RecordName(msgspec.Struct, frozen=True, rename="camel"):
    """How a request names its record, beside the handle."""

    application_id: int | None = None
    campaign_name: str | None = None
    phone_number: str | None = None


def nested_too_deep(value: Any) -> bool:
    """Tell whether a JSON value has more than `MOST_NESTING` levels."""
    level = [value]
    for _ in range(MOST_NESTING + 1):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return False
    return True


def readable(request: bytes) -> bytes:
    """Return a request in one form that every later use can read, copy and write.

    Raises:
        ValueError: it is no JSON object, or has what JSON can't have (Infinity, half a surrogate pair, other bytes).
        RecursionError: it is nested too deep to be read at all.
    """
    body = msgspec.json.decode(request, type=dict[str, Any])
    if nested_too_deep(body):
        raise ValueError("the request is nested too deep")
    form = msgspec.json.encode(body)
    if msgspec.json.decode(form) != body:
        raise ValueError("the request can't be written again")
    record_name(form)
    return form


def digest(request: bytes) -> bytes:
    """Return what two requests have in common where they have the same members, in any order."""
    return hashlib.sha256(msgspec.json.encode(msgspec.json.decode(request), order="sorted")).digest()[:16]


def shortened(request: bytes) -> bytes:
    """Return a request as it is up to `LARGEST_KEPT` bytes; of a larger one the small members, up to that size."""
    if len(request) <= LARGEST_KEPT:
        return request
    members = msgspec.json.decode(request, type=dict[str, msgspec.Raw])
    kept: dict[str, msgspec.Raw] = {}
    room = LARGEST_KEPT - len("{}")
    for name in (*_NAMES, *members):
        if name in members and name not in kept:
            size = len(msgspec.json.encode({name: members[name]}))
            if len(bytes(members[name])) <= LARGEST_MEMBER and size <= room:
                kept[name] = members[name]
                room -= size
    return msgspec.json.encode(kept)


def record_name(request: bytes) -> RecordName:
    """Return how a request names its record. A name that `shortened` would leave out is None.

    Raises:
        msgspec.ValidationError: a name is of another type.
    """
    name = msgspec.json.decode(request, type=RecordName)
    if max(len(name.campaign_name or ""), len(name.phone_number or "")) * 6 + 2 <= LARGEST_MEMBER:
        return name
    return RecordName(name.application_id, _short(name.campaign_name), _short(name.phone_number))


def _short(text: str | None) -> str | None:
    return text if text is not None and len(msgspec.json.encode(text)) <= LARGEST_MEMBER else None


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
