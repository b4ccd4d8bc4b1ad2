"""An operation as a caller hands it in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from bridge.webservices import OutboundRecordRequest

Request = TypeVar("Request", bound="OutboundRecordRequest")


@dataclass(frozen=True, slots=True)
class Submission:
    """What to forward, with which account, for whom.

    `account` None: the default one. `record_handle` None: the request names the record itself. `requested_by` is the
    caller as its authentication knows it; `traceparent` the W3C trace context that it sent.
    """

    account: str | None
    record_handle: int | None
    request: OutboundRecordRequest
    requested_by: str | None = None
    traceparent: str | None = None


def referenced(request: Request) -> Request:
    """Return the request with a referenceId: the caller's own, or a new one where it sent none."""
    return request if request.reference_id is not None else request.with_reference(uuid.uuid4().hex)
