"""Forwards the operations that an earlier process accepted with 202 and that still have no verdict."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from bridge.errors import BridgeError
from bridge.operations.ledger.precedence import Overtaken
from bridge.operations.view.state import event_of, seconds
from bridge.webservices import outbound_request, repeatable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bridge.delivery import Ledger
    from bridge.operations.correlation import Correlator
    from bridge.operations.forwarding.operation_forwarder import OperationForwarder
    from bridge.operations.limits import Limits
    from bridge.operations.view.state import OperationView
    from bridge.operations.view.view import OperationsView

log = structlog.get_logger(__name__)


class Recovery:
    """Recovers the operations of one account after a crash. Without a fleet one search at the start is enough."""

    def __init__(
        self,
        account: str,
        *,
        view: OperationsView,
        forwarder: OperationForwarder,
        correlator: Correlator,
        ledger: Ledger,
        limits: Limits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._account = account
        self._view = view
        self._forwarder = forwarder
        self._correlator = correlator
        self._ledger = ledger
        self._limits = limits
        self._clock = clock
        self._left: set[str] | None = None
        """The referenceIds of the operations still to be forwarded, None until `run` has found them."""

    async def run(self) -> None:
        """Wait for the first CometD reply, which may acknowledge some operations. Then forward the other operations."""
        await self._correlator.up_to_date()
        await self._forward_all([one for one in self._view.pending(self._account) if self._promised(one)])

    def in_progress(self, view: OperationView) -> bool:
        """Return whether the operation of this account still has to be forwarded. If so, it must not time out."""
        if self._left is None:
            return self._promised(view) and not self._too_old(view)
        return view.reference_id in self._left

    async def _forward_all(self, views: Sequence[OperationView]) -> None:
        self._left = {view.reference_id for view in views}
        if not views:
            return
        log.info("operations-left-behind", account=self._account, operations=len(views))
        queue = iter(views)
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(self._limits.concurrency, len(views))):
                workers.create_task(self._work_through(queue))

    async def _work_through(self, queue: Iterator[OperationView]) -> None:
        assert self._left is not None
        for view in queue:
            try:
                await self._forward(view.reference_id)
            finally:
                self._left.discard(view.reference_id)

    async def _forward(self, reference: str) -> None:
        await self._keep_promise(reference, patient=True)

    async def _keep_promise(self, reference: str, *, patient: bool) -> None:
        """Forward an operation, or end it if it must not be forwarded again.

        Raises:
            KafkaUnavailable: Kafka did not take the `requested` event, and this call is not `patient`.
        """
        view = self._view.get(reference)
        if view is None or not self._promised(view):
            return  # for example because it has been acknowledged
        if self._too_old(view) or view.sealed_request is not None or not repeatable(view.operation):
            self._forwarder.end(view)
            return
        try:
            outbound_request(view.operation, view.record_handle, view.request_json, reference, self._limits.enabled)
        except ValueError:
            self._forwarder.end(view)
            log.warning("operation-not-recovered", account=self._account, error="invalid-request")
            return
        event = event_of(view, "requested", self._forwarder.now(), attempt=view.attempt + 1)
        outcome = await self._forwarder.keep_promise(event, patient=patient)
        if isinstance(outcome, Exception) and not isinstance(outcome, Overtaken):
            name = outcome.code if isinstance(outcome, BridgeError) else type(outcome).__name__
            log.info("operation-not-recovered", account=self._account, error=name)

    def _too_old(self, view: OperationView) -> bool:
        return self._clock() - seconds(view.received_at) > self._limits.async_max_age

    def _promised(self, view: OperationView) -> bool:
        return view.promised and view.trusted and view.reference_id not in self._forwarder.running
