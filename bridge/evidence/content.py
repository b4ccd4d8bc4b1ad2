"""Reads the members of a value that the search needs. A bad value raises no error, because any program may write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridge.errors import UNDECODABLE
from bridge.events import INT64_MAX

if TYPE_CHECKING:
    from bridge.delivery import ConsumedRecord
    from bridge.events import Encoding

_JSON: Final = b"{"


class Content(msgspec.Struct, rename="camel", gc=False):
    """The members of an event, of any kind, that the search needs.

    A member of the wrong type makes the value unreadable.
    """

    reference_id: str | None = None
    operation: str | None = None
    status: str | None = None
    at: str | None = None
    account: str | None = None
    received_at: str = ""
    requested_by: str | None = None
    record_handle: int | None = None
    application_id: int | None = None
    campaign_name: str | None = None
    phone_number: str | None = None
    request: msgspec.Raw = msgspec.Raw()
    upstream: dict[str, Any] | None = None
    acknowledgement_id: str | None = None
    acknowledgement_key: str | None = None
    late: bool = False
    user_event_id: str | None = None
    attempt: int = 1
    notification_type: str | None = None
    user_event: str | None = None
    change: str | None = None
    reason: str | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None


class Named(msgspec.Struct, rename="camel", gc=False):
    """The members of a request that name its outbound record."""

    application_id: int | None = None
    campaign_name: str | None = None
    phone_number: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A record that the search has found, with its decoded content. `topic` is the topic's name without the prefix."""

    record: ConsumedRecord
    topic: str
    content: Content
    named: Named
    """Application, campaign and phone number, from an operation's request or from the value of any other event."""
    source: str = "kafka"

    @property
    def ce_id(self) -> str | None:
        """The event's id."""
        return _text(self.record.headers.get("ce_id"))

    @property
    def key(self) -> str:
        """The record's key as text."""
        return _text(self.record.key) or ""


NOTHING: Final = Content()
_decode: Final = msgspec.json.Decoder(Content).decode
_decode_request: Final = msgspec.json.Decoder(Named).decode


async def content_of(value: bytes | None, encoding: Encoding) -> Content:
    """Return the content of a value of any format. The content of an unreadable value is empty.

    Raises:
        RegistryUnavailable: the registry can't be asked for the value's schema.
    """
    if not value:
        return NOTHING
    json = value if value[:1] == _JSON else await encoding.json_of(value)
    try:
        content = _decode(json)
    except UNDECODABLE:
        return NOTHING
    numbers = (content.record_handle, content.application_id, content.attempt)
    return NOTHING if any(abs(number or 0) > INT64_MAX for number in numbers) else content


def named_in(content: Content) -> Named:
    """Return the members that name the outbound record, from the request if there is one, otherwise from the value."""
    if bytes(content.request):
        try:
            return _decode_request(content.request)
        except UNDECODABLE:
            return Named()
    return Named(content.application_id, content.campaign_name, content.phone_number)


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode(errors="replace")
