"""The operations on outbound records: a table of their requests and of their acknowledgements.

Source: the pages of the Outbound API. Some acknowledgements have other names than their operation:
RecordProcessedAcknowledge acknowledges CompleteRecord.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from bridge.webservices.request_models import (
    LARGEST_ID,
    AddRecord,
    CompleteRecord,
    DoNotCallByHandle,
    DoNotCallByNumber,
    GetChainedRecord,
    OutboundRecordRequest,
    RejectRecord,
    RescheduleRecord,
    UpdateRecord,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class OutboundOperation:
    """One operation on outbound records."""

    acknowledgements: tuple[str, ...]
    """The `notificationType`s of the messages that end the operation."""
    by_handle: type[OutboundRecordRequest] | None = None
    """The request with a record handle in the path, None if the operation has no such request."""
    by_number: type[OutboundRecordRequest] | None = None
    """The request without a record handle in the path, None if the operation has no such request."""
    on_the_way: tuple[str, ...] = ()
    """The `notificationType`s of messages that arrive before the end of the operation."""
    repeatable: bool = False
    """Whether the bridge may retry, because a second identical request changes nothing in Web Services."""

    @property
    def forwarded(self) -> bool:
        """Whether the bridge accepts the operation from REST callers."""
        return self.by_handle is not None or self.by_number is not None


OUTBOUND_OPERATIONS: Final[Mapping[str, OutboundOperation]] = {
    "DoNotCallRecord": OutboundOperation(
        ("DoNotCallAcknowledge",), DoNotCallByHandle, DoNotCallByNumber, repeatable=True
    ),
    "UpdateRecord": OutboundOperation(("UpdateCallCompletionStatsAcknowledge",), UpdateRecord, repeatable=True),
    # No page says whether Web Services refuses the second request to complete or reject a record.
    "CompleteRecord": OutboundOperation(("RecordProcessedAcknowledge",), CompleteRecord),
    "RejectRecord": OutboundOperation(("RecordRejectAcknowledge",), RejectRecord),
    "RescheduleRecord": OutboundOperation(
        ("ScheduledRecordRescheduleAcknowledge", "RecordRescheduleAcknowledge"), RescheduleRecord, repeatable=True
    ),
    "AddRecord": OutboundOperation(("AddRecordAcknowledge",), by_number=AddRecord),
    "GetChainedRecord": OutboundOperation(
        ("ChainedRecordsDataEnd",), GetChainedRecord, on_the_way=("ChainedRecord",), repeatable=True
    ),
    "GetPreviewRecord": OutboundOperation(("PreviewRecord",)),
}
"""The operations by `operationName`."""

NOTIFICATIONS: Final[Mapping[str, str]] = {
    notification: name
    for name, operation in OUTBOUND_OPERATIONS.items()
    for notification in (*operation.acknowledgements, *operation.on_the_way)
}
"""The `operationName` that each `notificationType` belongs to."""


def request_forms(enabled: Collection[str], *, with_handle: bool) -> dict[str, type[OutboundRecordRequest]]:
    """Return the request model of each enabled operation, by name, for paths with or without a record handle."""
    both = {name: (OUTBOUND_OPERATIONS[name].by_handle, OUTBOUND_OPERATIONS[name].by_number) for name in enabled}
    named = {name: forms[0] if with_handle else forms[1] for name, forms in both.items()}
    return {name: form for name, form in named.items() if form is not None}


def outbound_request(
    operation: str,
    record_handle: int | None,
    body: bytes,
    reference_id: str,
    enabled: Collection[str] = frozenset(OUTBOUND_OPERATIONS),
) -> OutboundRecordRequest:
    """Parse a request that the ledger stored, by the same rules as a REST caller's request.

    Raises:
        ValueError: the bridge would refuse this request from a REST caller, or the body has another referenceId.
    """
    form = request_forms(enabled, with_handle=record_handle is not None).get(operation)
    if form is None:
        raise ValueError("the operation is not enabled")
    if record_handle is not None and not 0 <= record_handle <= LARGEST_ID:
        raise ValueError("the record handle is out of range")
    try:
        request = form.model_validate(msgspec.json.decode(body))
    except RecursionError:
        raise ValueError("the request is nested too deep") from None
    if request.reference_id != reference_id:
        raise ValueError("the request has another referenceId")
    return request


def repeatable(operation: str) -> bool:
    """Return whether a request with this `operationName` may be sent twice. Return False for an unknown operation."""
    known = OUTBOUND_OPERATIONS.get(operation)
    return known is not None and known.repeatable
