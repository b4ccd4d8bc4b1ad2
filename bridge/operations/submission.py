"""An operation as a caller hands it in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bridge.webservices import OutboundRecordRequest

LONGEST_CALLER: Final = 255
"""Characters of the caller's name that the ledger keeps."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What to forward, with which account, for whom.

    `account` None: the default one. `record_handle` None: the request names the record itself. A `request` without a
    referenceId gets a new one. `requested_by` is the caller as its authentication knows it, made fit for a record;
    `traceparent` the W3C trace context that it sent.
    """

    account: str | None
    record_handle: int | None
    request: OutboundRecordRequest
    requested_by: str | None = None
    traceparent: str | None = None

    def __post_init__(self) -> None:
        """Complete the request; write what is no Unicode text in the caller's name as escapes, and cut a long name."""
        if self.request.reference_id is None:
            object.__setattr__(self, "request", self.request.with_reference(uuid.uuid4().hex))
        if self.requested_by is not None:
            named = self.requested_by[:LONGEST_CALLER].encode(errors="backslashreplace").decode()
            object.__setattr__(self, "requested_by", named)

    @property
    def reference_id(self) -> str:
        """The request's referenceId: the caller's own, or a new one where it sent none."""
        assert self.request.reference_id is not None
        return self.request.reference_id
