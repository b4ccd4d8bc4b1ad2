"""What a repeated request hears: a request under a referenceId that is known already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bridge.errors import Conflict, UpstreamRejected, UpstreamTimeout
from bridge.operations.ledger.requests import digest
from bridge.webservices import status_code

if TYPE_CHECKING:
    from bridge.events import Operation
    from bridge.operations.view.state import OperationView


def following(event: Operation, known: OperationView | None) -> Operation:
    """Count attempts on from an earlier request. A request that was accepted with 202 stays asynchronous."""
    if known is None:
        return event
    asynchronous = event.asynchronous or (known.asynchronous and known.pending)
    return msgspec.structs.replace(event, attempt=known.attempt + 1, asynchronous=asynchronous)


def check_same(known: OperationView, event: Operation) -> None:
    """Return if the event repeats the known request.

    Raises:
        Conflict: the referenceId belongs to another request.
    """
    digest_ = digest(bytes(event.request))
    if (known.account, known.record_handle, known.request_digest) != (event.account, event.record_handle, digest_):
        raise Conflict("The referenceId belongs to another request; nothing was forwarded. Remedy: use a new one.")


def with_verdict(known: OperationView) -> OperationView:
    """Return an operation that Web Services accepted.

    Raises:
        UpstreamRejected: Web Services refused the same request before.
        UpstreamTimeout: it gave no verdict on the same request before.
    """
    upstream = known.upstream
    if known.status == "rejected" and upstream is not None and upstream.status_code is not None:
        meaning = status_code(upstream.status_code)
        raise UpstreamRejected(
            f"Web Services refused the same request before: {meaning.meaning} (statusCode {upstream.status_code}). "
            f"Remedy: {meaning.remedy}, under a new referenceId.",
            http_status=upstream.http_status or 0,
            status_code=upstream.status_code,
            status_message=upstream.status_message,
        )
    if upstream is None and known.status in {"requested", "timed-out"}:
        raise UpstreamTimeout("Web Services gave no verdict on the same request before; it may have been done")
    return known
