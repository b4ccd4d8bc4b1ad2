"""Converts a request to the form in which the operation's events publish the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from bridge.operations.recorded_request import digest, record_name
from bridge.operations.view.filters import published_record

if TYPE_CHECKING:
    from bridge.operations.view.state import OperationView
    from bridge.privacy import Concealment


class PublishedRequest(NamedTuple):
    """The request of an operation. Its phone numbers are plain, hashed or missing, as in the operation's events."""

    body: dict[str, Any]
    phone: str | None
    """The phone number of the request."""
    record: str | None
    """The record key."""
    status_message: str | None
    """The text in Web Services' reply, which may contain a phone number."""
    complete: bool
    """Whether this process has the whole request, so that a person can submit the request again."""


def published_request(view: OperationView, privacy: Concealment | None) -> PublishedRequest:
    """Return the request of `view`. `privacy` is the rule for published phone numbers, None for no rule."""
    complete = view.sealed_request is None and digest(view.request_json) == view.request_digest
    record = published_record(view, privacy)
    phone = record_name(view.request_json).phone_number
    if privacy is None:
        message = None if view.upstream is None else view.upstream.status_message
        return PublishedRequest(view.request, phone, record, message, complete)
    body = msgspec.json.decode(privacy.of(msgspec.Raw(view.request_json)).content)
    number = body.get("phoneNumber") if isinstance(body, dict) else None
    return PublishedRequest(body or {}, number, record, None, complete)
