"""An operation as a REST caller submits it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from bridge.events import Operation

if TYPE_CHECKING:
    from bridge.webservices import OutboundRecordRequest

LARGEST_REQUEST: Final = 64 * 1024
"""Maximum size in bytes of a request's JSON: the body of a REST call, or the value of a record. A usual request has a
few hundred bytes."""
LONGEST_CALLER: Final = 255
"""Maximum length of the caller's name in the operation's events, in characters."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A request, the account to forward it with, and the caller.

    `account` is None for the default account. `record_handle` is None if the request itself names the record.
    `requested_by` is the authenticated caller's name. `traceparent` is the W3C trace context of the REST call.
    """

    account: str | None
    record_handle: int | None
    request: OutboundRecordRequest
    requested_by: str | None = None
    traceparent: str | None = None
    is_new: bool = field(init=False)
    """Whether the bridge has made the referenceId just now, so that no earlier request can have it."""

    def __post_init__(self) -> None:
        """Add a referenceId if the request has none. Escape lone surrogates in the caller's name, and shorten it."""
        object.__setattr__(self, "is_new", self.request.reference_id is None)
        if self.is_new:
            object.__setattr__(self, "request", self.request.with_reference(uuid.uuid4().hex))
        if self.requested_by is not None:
            named = self.requested_by[:LONGEST_CALLER].encode(errors="backslashreplace").decode()
            object.__setattr__(self, "requested_by", named)

    def requested(self, account: str, at: str, *, asynchronous: bool) -> Operation:
        """Return the event `requested` of the submission, for an account. `at` is the time in the form of events."""
        return Operation(
            reference_id=self.reference_id,
            operation=self.request.operation_name,
            status="requested",
            at=at,
            account=account,
            received_at=at,
            requested_by=self.requested_by,
            record_handle=self.record_handle,
            request=msgspec.Raw(msgspec.json.encode(self.request.body())),
            asynchronous=asynchronous,
        )

    @property
    def reference_id(self) -> str:
        """The referenceId that the caller sent, or the new one."""
        assert self.request.reference_id is not None
        return self.request.reference_id
