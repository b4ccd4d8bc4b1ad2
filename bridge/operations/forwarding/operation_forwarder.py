"""Carries operations to Web Services, and writes down what becomes of each."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from bridge.errors import UpstreamRejected, UpstreamTimeout
from bridge.events import Upstream, operation, rfc3339
from bridge.observability import metrics, tracing
from bridge.operations.view.state import event_of
from bridge.operations.view.view import Forwarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bridge.events import Operation, Record
    from bridge.operations.forwarding.account_forwarder import AccountForwarder, Verdict
    from bridge.operations.ledger.journal import Journal
    from bridge.operations.ledger.records import OperationRecords
    from bridge.operations.view.state import OperationView
    from bridge.operations.view.view import OperationsView

log = structlog.get_logger(__name__)

OTHERS: Final = "(other)"
"""The label of all accounts that only the ledger tells of: anybody who writes to it can name any number of them."""


@dataclass(slots=True, eq=False)
class ForwardingTask:
    """One operation on its way to its verdict."""

    event: Operation
    """Its `requested` event."""
    traceparent: str | None
    done: asyncio.Future[OperationView]
    """The operation with Web Services' verdict, or the error that there is instead."""
    forwarder: AccountForwarder | None
    """Where the run holds a place, for a caller; None without one."""
    begun: bool = False
    """Whether a task forwards the operation: that task then ends the run."""


class OperationForwarder:
    """`on_accepted` hears the account of each operation that Web Services accepted."""

    def __init__(
        self,
        view: OperationsView,
        journal: Journal,
        records: OperationRecords,
        forwarders: Mapping[str, AccountForwarder],
        *,
        on_accepted: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._journal = journal
        self._records = records
        self._forwarders = forwarders
        self._on_accepted = on_accepted
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._outcomes = {
            (account, outcome): metrics.operations.labels(account, outcome)
            for account in forwarders
            for outcome in ("accepted", "rejected", "failed")
        }
        self.running: dict[str, ForwardingTask] = {}
        """By reference."""

    async def run(self) -> None:
        """Own the tasks of all runs, for ever."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    def now(self) -> str:
        """The time, RFC 3339."""
        return rfc3339(self._clock())

    @contextmanager
    def announced(self, event: Operation, traceparent: str | None, *, take_place: bool) -> Iterator[ForwardingTask]:
        """Note that the operation of a `requested` event is under way, so that no other caller begins it again.

        The body calls `begin`. A body that ends without calling it gives up the task and its place in the forwarder.
        Callers that wait for the task get the same error.

        Args:
            event: the `requested` event.
            traceparent: the caller's trace context.
            take_place: whether the run takes a place in its account's forwarder, for a caller.

        Raises:
            Busy: the forwarder has no place left.
        """
        done: asyncio.Future[OperationView] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_look_at)
        forwarder = self._forwarders[event.account] if take_place else None
        if forwarder is not None:
            forwarder.enter()
        run = self.running[event.reference_id] = ForwardingTask(event, traceparent, done, forwarder)
        failure: BaseException = RuntimeError("an announced operation was not begun")
        try:
            yield run
        except BaseException as error:
            failure = error
            raise
        finally:
            if not run.begun:
                self._leave(run)
                if isinstance(failure, Exception):
                    done.set_exception(failure)
                else:
                    done.cancel()

    def begin(self, run: ForwardingTask, *, persistent: bool) -> None:
        """Forward, beside the caller: an operation does not end because its caller goes away."""
        assert self._group is not None
        reference = run.event.reference_id
        self._view.apply(run.event)
        self._view.forwarded[reference] = Forwarded(self._clock(), run.traceparent)
        self._group.create_task(self._carry(run, persistent=persistent))
        run.begun = True

    def _leave(self, run: ForwardingTask) -> None:
        """Give back all that a run holds."""
        del self.running[run.event.reference_id]
        if run.forwarder is not None:
            run.forwarder.leave()

    def record(self, event: Operation, traceparent: str | None = None) -> Record:
        """Make the record of an event."""
        forwarded = self._view.forwarded.get(event.reference_id)
        if traceparent is None and forwarded is not None:
            traceparent = forwarded.traceparent
        return self._records.record(event, tracing.publishing(operation.TOPIC, traceparent))

    def end(self, view: OperationView, at: str | None = None) -> None:
        """Give a pending operation up, `at` that moment or now: its acknowledgement did not come in time."""
        event = event_of(view, "timed-out", at or self.now())
        self._journal.note(self.record(event) if view.trusted else self._records.unsigned(event))
        self._view.apply(event, trusted=view.trusted)
        account = view.account if view.account in self._forwarders else OTHERS
        metrics.operations.labels(account, "timed-out").inc()

    async def _carry(self, run: ForwardingTask, *, persistent: bool) -> None:
        event = run.event
        try:
            forwarder = self._forwarders[event.account]
            body = msgspec.json.decode(event.request)
            verdict = await forwarder.forward(
                event.operation,
                event.record_handle,
                body,
                persistent=persistent,
                traceparent=run.traceparent,
                acknowledged=partial(self._acknowledged, event.reference_id),
            )
            view = self._settle(event, verdict)
        except asyncio.CancelledError:
            run.done.set_exception(
                UpstreamTimeout("The bridge stops before Web Services' verdict; it may have been done")
            )
            raise
        except Exception as error:
            log.exception("operation-failed", error=type(error).__name__)
            run.done.set_exception(error)
        else:
            if verdict.error is not None and view.status != "acknowledged":
                run.done.set_exception(verdict.error)
            else:
                run.done.set_result(view)
        finally:
            self._leave(run)

    async def _acknowledged(self, reference: str) -> bool:
        """Tell whether the operation is acknowledged. Wait where its acknowledgement is being committed."""
        while True:
            view = self._view.get(reference)
            if view is not None and view.status == "acknowledged":
                return True
            if reference not in self._view.settling:
                return False
            await self._view.changed(reference)

    def _settle(self, requested: Operation, verdict: Verdict) -> OperationView:
        """Note the verdict; without one the operation stays `requested`, for its acknowledgement or the time-out."""
        reference, account = requested.reference_id, requested.account
        view = self._view.get(reference) or self._view.apply(requested)
        assert view is not None
        attempt = requested.attempt + max(0, verdict.sent - 1)
        error = verdict.error
        event: Operation | None = None
        if verdict.reply is not None:
            outcome = "accepted"
            reply = verdict.reply
            upstream = Upstream(reply.http_status, reply.status_code, reply.status_message)
            event = event_of(view, "accepted", self.now(), upstream=upstream, attempt=attempt)
            self._on_accepted(account)
        elif isinstance(error, UpstreamRejected):
            outcome = "rejected"
            upstream = Upstream(error.http_status, error.status_code, error.status_message)
            event = event_of(view, "rejected", self.now(), upstream=upstream, attempt=attempt)
        else:
            outcome = "failed"
            if verdict.sent == 0:
                event = event_of(view, "rejected", self.now(), upstream=None, attempt=attempt)
            elif attempt > view.attempt:
                event = event_of(view, "requested", self.now(), attempt=attempt)
        self._outcomes[account, outcome].inc()
        return view if event is None else self._write(view, event)

    def _write(self, view: OperationView, event: Operation) -> OperationView:
        """Note an event, unless the acknowledgement is there already: the newest event of a key tells the status."""
        if view.status != "acknowledged" and event.reference_id not in self._view.settling:
            self._journal.note(self.record(event))
        return self._view.apply(event) or view


def _look_at(done: asyncio.Future[OperationView]) -> None:
    """Nobody may be waiting for the verdict; asyncio would complain about an error that is not looked at."""
    if not done.cancelled():
        done.exception()
