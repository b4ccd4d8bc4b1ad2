"""Decides which phone numbers of an operation a page shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridge.privacy import Masking

if TYPE_CHECKING:
    from bridge.operations import OperationView, PublishedRequest

_MASKING: Final = Masking()


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """The request of an operation as a page shows it."""

    body: dict[str, Any]
    phone: str | None
    record: str | None
    status_message: str | None
    acknowledgement_key: str | None
    complete: bool
    masked: bool
    """Whether the request has a masked number. The visitor may then ask to see it."""


def shown(view: OperationView, request: PublishedRequest, *, plain: bool) -> ShownRequest:
    """Return the request with its phone numbers masked, unless they may be shown `plain`.

    Hashed and omitted numbers are shown as the events publish them, even if `plain` is set.
    """
    key = None if view.acknowledgement is None else view.acknowledgement.key
    if plain:
        return ShownRequest(
            request.body, request.phone, request.record, request.status_message, key, request.complete, masked=False
        )
    concealed = _MASKING.of(msgspec.Raw(msgspec.json.encode(request.body)), request.phone)
    body = msgspec.json.decode(concealed.content)
    phone = concealed.number(request.phone)

    def text(value: str | None) -> str | None:
        """Mask the number in a text, and a number of any length at the end of a record key."""
        if value is not None and request.phone and phone and value.endswith(f"/{request.phone}"):
            value = f"{value.removesuffix(request.phone)}{phone}"
        return concealed.text(value)

    return ShownRequest(
        body or {},
        phone,
        text(request.record),
        text(request.status_message),
        text(key),
        request.complete,
        masked=body != request.body,
    )
