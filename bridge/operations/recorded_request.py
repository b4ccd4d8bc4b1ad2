"""Checks the request that an operation's event has recorded, and shortens a large request for the view in memory."""

from __future__ import annotations

import hashlib
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MOST_NESTING: Final = 100
"""Maximum levels of JSON objects and arrays. Far below Python's recursion limit."""
LARGEST_KEPT: Final = 4096
"""Maximum size of a shortened request, in bytes. The requests in Genesys' documentation have a few hundred bytes."""
LARGEST_MEMBER: Final = 256
"""Maximum size of the value of one JSON member in a shortened request, in bytes."""
RECENT: Final = 1024
"""Number of requests whose properties are remembered. All events of an operation have the same request, and usually
follow soon after one another."""
_NAMES: Final = ("applicationId", "campaignName", "phoneNumber", "operationName", "referenceId")
"""The members of a request that identify the outbound record and the operation. If there is no room for
all members, `shortened` keeps these rather than others."""


T = TypeVar("T")


def _remembered(function: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Remember the function's results for the last `RECENT` requests that are not large."""
    recent = lru_cache(RECENT)(function)

    @wraps(function)
    def call(request: bytes) -> T:
        return recent(request) if len(request) <= LARGEST_KEPT else function(request)

    return call


class RecordName(msgspec.Struct, frozen=True, rename="camel"):
    """The members of a request that identify its outbound record, besides the handle in the path."""

    application_id: int | None = None
    campaign_name: str | None = None
    phone_number: str | None = None


def nested_too_deep(encoded: bytes, value: Any) -> bool:
    """Return whether a JSON value has more than `MOST_NESTING` levels. `encoded` is the value in UTF-8."""
    if encoded.count(b"{") + encoded.count(b"[") <= MOST_NESTING:
        return False
    level = [value]
    for _ in range(MOST_NESTING + 1):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return False
    return True


@_remembered
def readable(request: bytes) -> bytes:
    """Return a request as JSON that the bridge can decode and encode again without an error.

    Raises:
        ValueError: it is not a JSON object, or contains Infinity, half a surrogate pair or invalid UTF-8.
        RecursionError: it is nested too deep for the JSON decoder.
    """
    body = _body_of(request)
    if nested_too_deep(request, body):
        raise ValueError("the request is nested too deep")
    form = msgspec.json.encode(body)
    if form != request and msgspec.json.decode(form) != body:
        raise ValueError("the request can't be written again")
    _name_of(form)
    return form


def told_request(body: Mapping[str, Any]) -> bytes:
    """Return an invalid request for its `rejected` event, or an empty object if no bridge could read the request."""
    try:
        return shortened(readable(msgspec.json.encode(body)))
    except ValueError:
        return b"{}"


@_remembered
def digest(request: bytes) -> bytes:
    """Return a hash (16 bytes) of the request, which does not depend on the order of the request's members."""
    return hashlib.sha256(msgspec.json.encode(msgspec.json.decode(request), order="sorted")).digest()[:16]


def shortened(request: bytes) -> bytes:
    """Return a request of at most `LARGEST_KEPT` bytes unchanged, and only the small members of a larger request."""
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


@_remembered
def record_name(request: bytes) -> RecordName:
    """Return the members that identify the request's outbound record.

    A string that is longer than allowed becomes None.

    Raises:
        msgspec.ValidationError: a member has the wrong type.
    """
    name = _name_of(request)
    if max(len(name.campaign_name or ""), len(name.phone_number or "")) * 6 + 2 <= LARGEST_MEMBER:
        return name
    return RecordName(name.application_id, _short(name.campaign_name), _short(name.phone_number))


_name_of: Final = msgspec.json.Decoder(RecordName).decode
_body_of: Final = msgspec.json.Decoder(dict[str, Any]).decode


def _short(text: str | None) -> str | None:
    return text if text is not None and len(msgspec.json.encode(text)) <= LARGEST_MEMBER else None


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
