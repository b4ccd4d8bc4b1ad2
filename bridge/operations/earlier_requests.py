"""Finds earlier requests with the same referenceId, so that a repeated request is not forwarded again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from bridge.errors import Conflict, UpstreamRejected, UpstreamTimeout
from bridge.operations.recorded_request import digest
from bridge.operations.view.state import merge, seconds
from bridge.webservices import repeatable, status_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.events import Operation
    from bridge.operations.forwarding.operation_forwarder import ForwardingTask
    from bridge.operations.view.state import OperationView
    from bridge.operations.view.view import OperationsView


class EarlierRequests:
    """Finds earlier requests by referenceId, in `view` and in `running` (the forwarding tasks of this process).

    `forward_deadline` is in seconds.
    """

    def __init__(
        self,
        view: OperationsView,
        running: Mapping[str, ForwardingTask],
        *,
        forward_deadline: float,
        clock: Callable[[], float],
    ) -> None:
        self._view = view
        self._running = running
        self._forward_deadline = forward_deadline
        self._clock = clock

    async def outcome(self, event: Operation) -> OperationView | None:
        """Return the operation if the same request came earlier. Return None if `event` must be forwarded now.

        If the earlier request is being forwarded, here or in another replica, wait for Web Services' verdict. Do not
        wait if both requests are asynchronous (`Prefer: respond-async`).

        Raises:
            Conflict: the referenceId belongs to another request.
            UpstreamError: Web Services rejected the earlier request, or gave no verdict.
        """
        known = self._view.trusted(event.reference_id)
        if event.asynchronous and known is not None and known.promised and not self._abandoned(known):
            _check_same(known, event)
            return known
        task = self._task(event)
        if task is None:
            known = await self._known(event)
            if known is not None and not _may_follow(known):
                return known if event.asynchronous and known.status != "requested" else _with_verdict(known)
            task = self._task(event)
        return None if task is None else await task.verdict()

    def following(self, event: Operation) -> Operation:
        """Set the attempt number of `event` to one more than that of an earlier request.

        A request that the bridge accepted with 202 stays asynchronous.
        """
        known = self._view.trusted(event.reference_id)
        if known is None:
            return event
        asynchronous = event.asynchronous or (known.asynchronous and known.pending)
        return msgspec.structs.replace(event, attempt=known.attempt + 1, asynchronous=asynchronous)

    def _task(self, event: Operation) -> ForwardingTask | None:
        task = self._running.get(event.reference_id)
        if task is not None:
            _check_same(merge(None, task.event), event)
        return task

    async def _known(self, event: Operation) -> OperationView | None:
        """Return the earlier operation, or None. If another replica forwards this operation, wait for the verdict."""
        known = self._view.trusted(event.reference_id)
        if known is None:
            return None
        _check_same(known, event)
        try:
            async with asyncio.timeout(self._patience(known)):
                while known is not None and known.status == "requested" and not self._abandoned(known):
                    await self._view.changed(event.reference_id)
                    known = self._view.trusted(event.reference_id)
        except TimeoutError:
            pass  # the replica that forwarded it is gone, or has no verdict
        return self._view.trusted(event.reference_id)

    def _patience(self, view: OperationView) -> float:
        """Return for how many seconds another replica may still forward the operation.

        The result is 0 if there is a verdict. The other replica's clock may be slow, so this process also counts the
        seconds since it first read the operation.
        """
        if view.status != "requested":
            return 0.0
        began = seconds(view.times.requested or view.received_at)
        return max(0.0, self._forward_deadline - max(self._clock() - began, self._view.known_for(view.reference_id)))

    def _abandoned(self, view: OperationView) -> bool:
        """Return whether this process forwarded the operation, and its task ended without a verdict."""
        return view.reference_id in self._view.forwarded and view.reference_id not in self._running


def _check_same(known: OperationView, event: Operation) -> None:
    digest_ = digest(bytes(event.request))
    if (known.account, known.record_handle, known.request_digest) != (event.account, event.record_handle, digest_):
        raise Conflict(
            "The referenceId belongs to another request. Nothing was forwarded. Remedy: use a new referenceId."
        )


def _may_follow(view: OperationView) -> bool:
    """Return whether the request may be forwarded again.

    A request that Web Services never judged (`undelivered`) may be forwarded again. So may a request without a verdict,
    if the operation is repeatable.
    """
    return view.undelivered or (view.status == "requested" and repeatable(view.operation))


def _with_verdict(known: OperationView) -> OperationView:
    """Return `known` if Web Services accepted it.

    Raises:
        UpstreamRejected: Web Services rejected the operation.
        UpstreamTimeout: Web Services gave no verdict.
    """
    upstream = known.upstream
    if known.status == "rejected" and upstream is not None and upstream.status_code is not None:
        meaning = status_code(upstream.status_code)
        raise UpstreamRejected(
            f"Web Services refused the same request earlier: {meaning.meaning} (statusCode {upstream.status_code}). "
            f"Remedy: {meaning.remedy}. Use a new referenceId.",
            http_status=upstream.http_status or 0,
            status_code=upstream.status_code,
            status_message=upstream.status_message,
        )
    if upstream is None and known.status in {"requested", "timed-out"}:
        raise UpstreamTimeout(
            "Web Services did not answer the same request earlier. The operation may have been done nevertheless."
        )
    return known
