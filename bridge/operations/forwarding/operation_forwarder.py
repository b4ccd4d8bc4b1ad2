"""Forwards each operation in a background task, and writes the operation's events to the ledger."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from bridge.errors import KafkaUnavailable, UnknownAccount, UpstreamRejected, UpstreamTimeout
from bridge.events import Upstream, operation, rfc3339
from bridge.observability import metrics, tracing
from bridge.operations.ledger.precedence import Overtaken
from bridge.operations.view.state import event_of
from bridge.operations.view.view import Forwarded
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bridge.events import Operation, Record
    from bridge.operations.forwarding.account_forwarder import AccountForwarder, Verdict
    from bridge.operations.ledger.journal import Journal
    from bridge.operations.ledger.precedence import Precedence
    from bridge.operations.ledger.records import OperationRecords
    from bridge.operations.view.state import OperationView
    from bridge.operations.view.view import OperationsView

log = structlog.get_logger(__name__)

PRECEDENCE_DEADLINE: Final = 1.0
"""Maximum seconds that a request waits until the ledger shows whether another replica got it first. Normally it takes
some milliseconds. An open transaction of a dead replica may hide the events for several seconds."""
OTHERS: Final = "(other)"
"""The account label in the metrics for all accounts of other processes. Otherwise a client that writes thousands of
account names to the ledger would create thousands of series."""


@dataclass(slots=True, eq=False)
class ForwardingTask:
    """An operation that is being forwarded and has no verdict yet."""

    event: Operation
    """The operation's `requested` event."""
    traceparent: str | None
    persistent: bool
    """Whether to retry until the deadline, because no caller waits."""
    forwarder: AccountForwarder
    """The account's forwarder."""
    has_place: bool
    """Whether this task has a place at the forwarder (`AccountForwarder.enter`)."""
    first: asyncio.Future[bool] | None
    """Whether no other replica wrote an earlier `requested` event. None without a fleet."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the forwarding has begun, or when the task has ended without a forwarding."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the task has its `outcome`."""
    outcome: OperationView | BaseException = field(init=False)
    """The operation with Web Services' verdict, or an error."""
    twice: bool = False
    """Whether another replica has forwarded the same request, too."""

    def end(self, outcome: OperationView | BaseException) -> None:
        """Set the outcome, and let all callers of `verdict` go on."""
        self.outcome = outcome
        self.ended.set()

    async def verdict(self) -> OperationView:
        """Wait for the outcome. Return the operation, or raise the error."""
        await self.ended.wait()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class OperationForwarder:
    """Forwards operations of all accounts. Calls `on_accepted` with the account when Web Services accepts one.

    In a fleet `precedence` decides which replica forwards an operation. Without a fleet it is None.
    """

    def __init__(
        self,
        view: OperationsView,
        journal: Journal,
        records: OperationRecords,
        forwarders: Mapping[str, AccountForwarder],
        precedence: Precedence | None = None,
        *,
        on_accepted: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._journal = journal
        self._records = records
        self._forwarders = forwarders
        self._precedence = precedence
        self._on_accepted = on_accepted
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self.running: dict[str, ForwardingTask] = {}
        """The tasks that have no verdict yet, by referenceId."""

    async def run(self) -> None:
        """Run the task group of the forwarding tasks until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    def now(self) -> str:
        """Return the current time in RFC 3339."""
        return rfc3339(self._clock())

    async def forward(self, event: Operation, traceparent: str | None) -> OperationView:
        """Forward the operation of a `requested` event for a caller who waits. Return the operation with the verdict.

        Raises:
            Busy: the account has too many operations under way.
            UnknownAccount: the account has left the bridge. Nothing is forwarded.
            Overtaken: another replica got the same request first. This replica forwards nothing.
            UpstreamError: Web Services rejected the operation, or gave no verdict.
        """
        with self._begun(event, traceparent, persistent=False, take_place=True) as task:
            self._journal.note(self.record(event, traceparent), urgent=task.first is not None)
        return await task.verdict()

    async def promise(self, event: Operation, traceparent: str | None) -> OperationView:
        """Write the `requested` event, and return the operation once Kafka has the event and the forwarding has begun.

        Raises:
            Busy: the account has too many operations under way.
            UnknownAccount: the account has left the bridge. Nothing is forwarded.
            Overtaken: another replica got the same request first. This replica forwards nothing.
            KafkaUnavailable: Kafka did not take the event. Nothing is forwarded.
        """
        with self._begun(event, traceparent, persistent=True, take_place=True) as task:
            record = self.record(event, traceparent)
            await self._journal.append(record, otherwise=partial(self._take_back, event, traceparent))
        await task.begun.wait()
        view = self._view.get(event.reference_id)
        return await task.verdict() if view is None else view

    async def verdicts(self, account: str) -> None:
        """Wait for the account's operations that are being forwarded, until each has a verdict or its time is over."""
        for task in [*self.running.values()]:
            if task.event.account == account:
                await task.ended.wait()

    async def keep_promise(self, event: Operation, *, patient: bool) -> OperationView | BaseException:
        """Forward an operation that an earlier process had accepted with 202. Return the operation, or the error.

        Before the request is sent, a new `requested` event with a higher attempt number is written to Kafka. The
        operation does not count against the account's limit.

        Raises:
            KafkaUnavailable: Kafka did not take the event, and this call is not `patient`. Nothing is forwarded.
        """
        with self._begun(event, None, persistent=True, take_place=False) as task:
            record = self.record(event)
            backoff = Backoff()
            while True:
                try:
                    await self._journal.append(record, otherwise=lambda: record)
                except KafkaUnavailable:
                    if not patient:
                        raise
                    await asyncio.sleep(backoff.next_delay())
                else:
                    break
        await task.ended.wait()
        return task.outcome

    @contextmanager
    def _begun(
        self, event: Operation, traceparent: str | None, *, persistent: bool, take_place: bool
    ) -> Iterator[ForwardingTask]:
        """Register the operation as running while the `with` body writes its event.

        After the body, start the forwarding. A repeated request finds the registered task and waits for its result. If
        the body fails, the task ends with that error.
        """
        assert self._group is not None
        forwarder = self._forwarders.get(event.account)
        if forwarder is None:
            raise UnknownAccount("The account has just left the bridge. Nothing was forwarded.")
        if take_place:
            forwarder.enter()
        first = None if self._precedence is None else self._precedence.of(event)
        task = ForwardingTask(event, traceparent, persistent, forwarder, take_place, first)
        self.running[event.reference_id] = task
        try:
            yield task
            if first is None:
                self._begin(task)
            self._group.create_task(self._carry(task))  # a task, because the caller may disconnect before the verdict
        except BaseException as error:
            self._leave(task)
            task.end(error)
            raise

    def _begin(self, task: ForwardingTask) -> None:
        event = task.event
        self._view.apply(event)
        self._view.forwarded[event.reference_id] = Forwarded(self._clock(), task.traceparent, event.attempt)
        task.begun.set()

    async def _decided(self, task: ForwardingTask, first: asyncio.Future[bool]) -> None:
        """Wait until the ledger shows which replica wrote the first `requested` event, at most `PRECEDENCE_DEADLINE`.

        If the ledger does not show it in time, or Kafka is away, this replica forwards the operation anyway. It is
        better to forward an operation twice than never.

        Raises:
            Overtaken: another replica wrote the first event, and forwards the operation.
        """
        if self._journal.available:
            await asyncio.wait([first], timeout=PRECEDENCE_DEADLINE)
        if not first.done():
            first.add_done_callback(partial(self._decided_late, task))
        elif not first.result():
            raise Overtaken

    def _decided_late(self, task: ForwardingTask, first: asyncio.Future[bool]) -> None:
        """Report that this replica forwarded, or is forwarding, a request that another replica forwards, too."""
        if first.cancelled() or first.result():
            return
        task.twice = True
        reference = task.event.reference_id
        log.warning("operation-forwarded-twice", account=task.event.account)
        view = self._view.get(reference)
        if view is not None and self.running.get(reference) is not task:
            self._write(view, event_of(view, view.status, self.now(), attempt=view.attempt + 1))

    def _leave(self, task: ForwardingTask) -> None:
        """Remove a task from `running`, and free its place."""
        task.begun.set()
        del self.running[task.event.reference_id]
        if task.has_place:
            task.forwarder.leave()

    def _take_back(self, requested: Operation, traceparent: str | None) -> Record:
        """Mark the operation as rejected, and return the record that revokes its `requested` record."""
        event = msgspec.structs.replace(requested, status="rejected", at=self.now())
        self._view.apply(event)
        return self.record(event, traceparent)

    def record(self, event: Operation, traceparent: str | None = None) -> Record:
        """Make the Kafka record of an event, with the operation's trace context unless another one is given.

        In a fleet the record of a `requested` event names this process.
        """
        forwarded = self._view.forwarded.get(event.reference_id)
        if traceparent is None and forwarded is not None:
            traceparent = forwarded.traceparent
        record = self._records.record(event, tracing.publishing(operation.TOPIC, traceparent))
        if self._precedence is not None and event.status == "requested":
            return self._precedence.mark(record)
        return record

    def end(self, view: OperationView, at: str | None = None) -> None:
        """Write the `timed-out` event of a pending operation. `at` is the event's time, by default now."""
        event = event_of(view, "timed-out", at or self.now())
        self._journal.note(self.record(event) if view.trusted else self._records.unsigned(event))
        self._view.apply(event, trusted=view.trusted)
        account = view.account if view.account in self._forwarders else OTHERS
        metrics.operations.labels(account, "timed-out").inc()

    async def _carry(self, task: ForwardingTask) -> None:
        event = task.event
        try:
            if task.first is not None:
                await self._decided(task, task.first)
                self._begin(task)
            verdict = await task.forwarder.forward(
                event.operation,
                event.record_handle,
                bytes(event.request),
                persistent=task.persistent,
                traceparent=task.traceparent,
                acknowledged=partial(self._acknowledged, event.reference_id),
            )
            view = self._settle(task, verdict)
        except asyncio.CancelledError:
            task.end(
                UpstreamTimeout("The bridge stopped before Web Services answered. The operation may have been done.")
            )
            raise
        except Overtaken as overtaken:
            task.end(overtaken)
        except Exception as error:
            log.exception("operation-failed", error=type(error).__name__)
            task.end(error)
        else:
            acknowledged = view.status == "acknowledged"
            task.end(view if verdict.error is None or acknowledged else verdict.error)
        finally:
            self._leave(task)

    async def _acknowledged(self, reference: str) -> bool:
        """Return whether the operation is acknowledged. If a commit of the acknowledgement runs, wait for its end."""
        while True:
            view = self._view.get(reference)
            if view is not None and view.status == "acknowledged":
                return True
            if reference not in self._view.settling:
                return False
            await self._view.changed(reference)

    def _settle(self, task: ForwardingTask, verdict: Verdict) -> OperationView:
        """Write the event of the verdict, and return the operation.

        If the request may have reached Web Services and there is no verdict, the operation stays `requested`. The
        acknowledgement or the time-out ends the operation later.
        """
        requested = task.event
        reference, account = requested.reference_id, requested.account
        view = self._view.get(reference) or self._view.apply(requested)
        assert view is not None
        attempt = requested.attempt + max(0, verdict.sent - 1) + task.twice
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
                forwarded = self._view.forwarded.get(reference)
                if forwarded is not None:
                    self._view.forwarded[reference] = forwarded._replace(attempt=attempt)
        metrics.operations.labels(account, outcome).inc()
        return view if event is None else self._write(view, event)

    def _write(self, view: OperationView, event: Operation) -> OperationView:
        """Write an event, unless the operation is acknowledged. `acknowledged` must stay the last event in Kafka."""
        if view.status != "acknowledged" and event.reference_id not in self._view.settling:
            self._journal.note(self.record(event))
        return self._view.apply(event) or view
