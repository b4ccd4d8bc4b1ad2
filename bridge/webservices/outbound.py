"""The operations on outbound records: one table of their requests and of the messages that answer them.

Source: the pages of the Outbound API. Names differ on purpose there: CompleteRecord is answered by
RecordProcessedAcknowledge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from bridge.webservices.requests import (
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
    """One operation: the form that its request has with a handle in the path and without one (None: no such form)."""

    acknowledgements: tuple[str, ...]
    """The `notificationType`s that say that it was done."""
    by_handle: type[OutboundRecordRequest] | None = None
    by_number: type[OutboundRecordRequest] | None = None
    on_the_way: tuple[str, ...] = ()
    """The `notificationType`s that answer it too, before it is done."""
    repeatable: bool = False
    """Whether Web Services ends up the same when it gets the request twice, so that a lost reply can be tried again."""

    @property
    def forwarded(self) -> bool:
        """Whether the bridge takes it from REST callers."""
        return self.by_handle is not None or self.by_number is not None


OUTBOUND_OPERATIONS: Final[Mapping[str, OutboundOperation]] = {
    "DoNotCallRecord": OutboundOperation(
        ("DoNotCallAcknowledge",), DoNotCallByHandle, DoNotCallByNumber, repeatable=True
    ),
    "UpdateRecord": OutboundOperation(("UpdateCallCompletionStatsAcknowledge",), UpdateRecord, repeatable=True),
    # A record that is processed or rejected is given up: whether a second time is refused, no page says.
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
"""By `operationName`."""

NOTIFICATIONS: Final[Mapping[str, str]] = {
    notification: name
    for name, operation in OUTBOUND_OPERATIONS.items()
    for notification in (*operation.acknowledgements, *operation.on_the_way)
}
"""Which operation a `notificationType` answers."""


def request_forms(enabled: Collection[str], *, with_handle: bool) -> dict[str, type[OutboundRecordRequest]]:
    """Return the request's form of each enabled operation, by name, with a record handle in the path or without one."""
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
    """Read a request back from the ledger, by the rules for what a REST caller sends.

    Raises:
        ValueError: a REST call with this operation, handle and body would be refused, or the body has another
            referenceId.
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
    """Tell whether the operation of that `operationName` may be sent twice; one that is not known may not."""
    known = OUTBOUND_OPERATIONS.get(operation)
    return known is not None and known.repeatable
