"""Accepts operations, reports their state, and runs the tasks that forward, recover and time out operations."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from bridge.errors import Busy, LedgerUnread, UnknownAccount, UnknownOperation
from bridge.events import DEAD_LETTERS, acknowledgement, operation
from bridge.observability import metrics
from bridge.operations.correlation import Correlator
from bridge.operations.earlier_requests import EarlierRequests
from bridge.operations.forwarding.account_forwarder import RETRY_AFTER, AccountForwarder, OperationClient
from bridge.operations.forwarding.fleet_recovery import FleetRecovery
from bridge.operations.forwarding.operation_forwarder import OperationForwarder
from bridge.operations.forwarding.recovery import Recovery
from bridge.operations.ledger.journal import Journal
from bridge.operations.ledger.precedence import Overtaken, Precedence
from bridge.operations.ledger.reading import LedgerReading
from bridge.operations.ledger.records import fit
from bridge.operations.timeouts import Timeouts
from bridge.operations.view.filters import EVERY_OPERATION, Matcher, OperationFilter
from bridge.operations.view.published import PublishedRequest, published_request
from bridge.operations.view.view import Counts, OperationsView, Page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.delivery import Ledger
    from bridge.events import Operation, Record
    from bridge.operations.ledger.records import OperationRecords
    from bridge.operations.limits import Limits
    from bridge.operations.submission import Submission
    from bridge.operations.view.state import OperationView

LEDGER_TOPIC: Final = operation.TOPIC
PLACED_TOPICS: Final = (acknowledgement.TOPIC, DEAD_LETTERS)
LOAD_PATIENCE: Final = 5.0
"""A request with a caller's referenceId waits until the ledger is read. If no event is read for this many seconds, the
request no longer waits. A caller may repeat a call that a crash interrupted, and the ledger prevents a second
forwarding. While the ledger can't be read at all, the bridge forwards nevertheless, because Kafka may be
unreachable."""


class OperationsService:
    """The operations of all accounts of this process. Accounts may be added and removed while it runs.

    `clients` has a client of Web Services for each account. `clients` is never empty, and its first account is the
    default.
    `on_accepted` is called with the account when Web Services accepts an operation. `load_patience` is in seconds.
    `in_fleet`: whether other replicas take calls for the same accounts.
    """

    def __init__(
        self,
        limits: Limits,
        clients: Mapping[str, OperationClient],
        ledger: Ledger,
        records: OperationRecords,
        *,
        on_accepted: Callable[[str], None] = lambda _: None,
        load_patience: float = LOAD_PATIENCE,
        in_fleet: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._in_fleet = in_fleet
        self._load_patience = load_patience
        self._clock = clock
        self._ledger = ledger
        self.default_account = next(iter(clients))
        """The account of submissions that name no account."""
        self._closed = False
        self._view = OperationsView(
            limit=limits.view_limit, most_bytes=limits.view_bytes, age=limits.view_age, clock=clock
        )
        self._journal = Journal(ledger)
        self._records = records
        precedence = Precedence() if in_fleet else None
        self._reading = LedgerReading(ledger, self._records, self._view, self._learnt, precedence)
        self._forwarders: dict[str, AccountForwarder] = {}
        self._correlators: dict[str, Correlator] = {}
        self._recoveries: dict[str, Recovery] = {}
        self._recovering: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._forwarder = OperationForwarder(
            self._view,
            self._journal,
            self._records,
            self._forwarders,
            precedence,
            on_accepted=on_accepted,
            clock=clock,
        )
        self._earlier = EarlierRequests(
            self._view, self._forwarder.running, forward_deadline=limits.forward_deadline, clock=clock
        )
        self._timeouts = Timeouts(
            self._view,
            self._correlators,
            ledger,
            limits,
            loaded=self._reading.loaded,
            in_progress=self._in_progress,
            end=self._forwarder.end,
            clock=clock,
        )
        for account, client in clients.items():
            self.add(account, client)

    # -- accounts -----------------------------------------------------------------------------------------------------

    def add(self, account: str, client: OperationClient) -> None:
        """Take operations for one more account. The account's relay must call `correlator(account)`."""
        self._forwarders[account] = AccountForwarder(client, account, self._limits)
        correlator = self._correlators[account] = Correlator(
            account, self._view, self._journal, self._records, loaded=self._reading.loaded, clock=self._clock
        )
        self._recoveries[account] = (FleetRecovery if self._in_fleet else Recovery)(
            account,
            view=self._view,
            forwarder=self._forwarder,
            correlator=correlator,
            ledger=self._ledger,
            limits=self._limits,
            clock=self._clock,
        )
        metrics.operations_pending.labels(account).set_function(partial(self._view.pending_count, account))
        self._recover(account)

    async def remove(self, account: str) -> None:
        """Take no more operations for the account. Return when its operations under way have their verdicts.

        The account's pending operations end later as orphaned operations (see `Timeouts`).
        """
        del self._forwarders[account], self._correlators[account], self._recoveries[account]
        recovering = self._recovering.pop(account, None)
        if recovering is not None:
            recovering.cancel()
            await asyncio.wait([recovering])
        await self._forwarder.verdicts(account)

    def _recover(self, account: str) -> None:
        if self._group is not None:
            self._recovering[account] = self._group.create_task(self._recoveries[account].run())

    def correlator(self, account: str) -> Correlator:
        """Return the correlator that the account's relay calls."""
        return self._correlators[account]

    # -- submitting ---------------------------------------------------------------------------------------------------

    async def submit(self, submission: Submission) -> OperationView:
        """Forward an operation now, and return it once Web Services has accepted it.

        A repeated request (same referenceId, same content) returns the state of the first one, and forwards nothing.

        Raises:
            UnknownAccount, Conflict, Busy, RegistryUnavailable: nothing was forwarded.
            UpstreamRejected: Web Services rejected this request, or an earlier request with the same content.
            UpstreamError: Web Services gave no verdict.
        """
        return await self._submit(submission, self._forwarder.forward, asynchronous=False)

    async def submit_async(self, submission: Submission) -> OperationView:
        """Store the request in Kafka and return. The bridge then forwards the request, and again after a crash.

        A repeated request (same referenceId, same content) returns the state of the first one, and forwards nothing.

        Raises:
            UnknownAccount, Conflict, Busy, RegistryUnavailable: nothing is forwarded.
            KafkaUnavailable: Kafka did not store the request. Nothing is forwarded.
        """
        return await self._submit(submission, self._forwarder.promise, asynchronous=True)

    async def _submit(
        self,
        submission: Submission,
        forward: Callable[[Operation, str | None], Awaitable[OperationView]],
        *,
        asynchronous: bool,
    ) -> OperationView:
        event = self._requested(submission, asynchronous=asynchronous)
        await self._records.start(event.account)
        if not submission.is_new:
            await self._reading.loaded_soon(self._load_patience)
        while True:
            try:
                view = await self._earlier.outcome(event)
                if view is None:
                    self._check_open()
                    view = await forward(self._earlier.following(event), submission.traceparent)
            except Overtaken:
                continue  # now the view has the other replica's request
            return self._placed(view)

    async def read_to_end(self) -> None:
        """Return once the view has all that the ledger contains now, also the events of other replicas.

        Raises:
            KafkaUnavailable: the ledger can't be read now.
        """
        await self._reading.loaded.wait()
        await self._ledger.catch_up()

    def known(self, reference_id: str) -> OperationView | None:
        """Return one operation, None if it is unknown or untrusted."""
        return self._view.trusted(reference_id)

    async def verdict(self, reference_id: str, seconds: float) -> OperationView:
        """Wait for the verdict of Web Services on an asynchronous operation, for at most `seconds`. Return its state.

        Raises:
            UnknownOperation: no operation with that referenceId is known.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._existing(reference_id).promised:
                    await self._view.changed(reference_id)
        return self.get(reference_id)

    async def reject(self, event: Operation | None, dead_letter: Record) -> None:
        """Store why a request was refused: its dead letter, and the `rejected` event if the referenceId is new.

        An operation that exists keeps its state, because the refused request is not that operation's request.

        Raises:
            KafkaUnavailable: Kafka did not confirm the records. It may have stored them nevertheless.
            RegistryUnavailable: the schema registry has not confirmed the schema yet.
        """
        records = [dead_letter]
        if event is not None and self._view.get(event.reference_id) is None:
            await self._records.start(event.account)
            records.append(self._forwarder.record(fit(event)))
        for record in records:
            await self._journal.append(record, otherwise=partial(_same, record))

    # -- reading ------------------------------------------------------------------------------------------------------

    async def wait(self, reference_id: str, seconds: float) -> OperationView:
        """Wait until the operation has ended, for at most `seconds`, and return the operation in its present state.

        Raises:
            UnknownOperation: no operation with that referenceId is known.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._existing(reference_id).pending:
                    await self._view.changed(reference_id)
        except TimeoutError:
            pass  # return the present state
        return self.get(reference_id)

    def get(self, reference_id: str) -> OperationView:
        """Return one operation.

        Raises:
            UnknownOperation: no operation with that referenceId is known, or it is too old.
            LedgerUnread: the ledger is still being read, and may have the operation.
        """
        return self._placed(self._existing(reference_id))

    async def list(self, chosen: OperationFilter = EVERY_OPERATION, limit: int = 100, after: str | None = None) -> Page:
        """Return a page of operations, newest first. `after` is the `next` of the previous page.

        Raises:
            LedgerUnread: the ledger is still being read.
            NumberSearchImpossible: the filter names a phone number, and the settings omit phone numbers.
        """
        self._check_read()
        matches = Matcher(chosen, self._records.privacy)
        page = await self._view.list(lambda view: matches(view) and not self._hidden(view), limit, after)
        return Page([self._placed(view) for view in page.operations], page.next)

    def counts(self) -> Counts:
        """Return how many operations of this process's accounts wait, and how many have timed out.

        Raises:
            LedgerUnread: the ledger is still being read.
        """
        self._check_read()
        return Counts(
            pending=sum(map(self._view.pending_count, self._forwarders)),
            timed_out=sum(map(self._view.timed_out_count, self._forwarders)),
        )

    def published(self, view: OperationView) -> PublishedRequest:
        """Return the request of an operation, with phone numbers in the form that the events publish."""
        return published_request(view, self._records.privacy)

    # -- start and stop -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run all background tasks until cancelled. Operations can be submitted only while it runs."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for run in (self._journal.run, self._forwarder.run, self._reading.run, self._timeouts.run):
                    self._group.create_task(run())
                for account in self._recoveries:
                    self._recover(account)
        finally:
            self._group = None
            await self._ledger.stop()

    async def drain(self, deadline: float) -> None:
        """Accept no more operations, and wait at most `deadline` seconds for the pending verdicts."""
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                for task in [*self._forwarder.running.values()]:
                    await task.ended.wait()

    # -- the rules ----------------------------------------------------------------------------------------------------

    def _requested(self, submission: Submission, *, asynchronous: bool) -> Operation:
        account = self.default_account if submission.account is None else submission.account
        if account not in self._forwarders:
            raise UnknownAccount(
                "The bridge has no account of that name. Without the header the bridge uses its default account."
            )
        event = submission.requested(account, self._forwarder.now(), asynchronous=asynchronous)
        return fit(event)  # so that every bridge can read the event again

    def _check_read(self) -> None:
        if not self._reading.loaded.is_set():
            raise LedgerUnread("The bridge is still reading earlier operations from Kafka. Try again later.")

    def _check_open(self) -> None:
        if self._closed:
            raise Busy("The bridge is stopping. Nothing was forwarded.", retry_after=1)
        self._records.check()
        if self._view.full():
            raise Busy("Too many operations are pending. Nothing was forwarded.", retry_after=RETRY_AFTER)

    def _in_progress(self, view: OperationView) -> bool:
        """Return whether the operation is being forwarded, or its acknowledgement is being committed."""
        reference = view.reference_id
        if reference in self._forwarder.running or reference in self._view.settling:
            return True
        recovery = self._recoveries.get(view.account)
        return recovery is not None and recovery.in_progress(view)

    def _existing(self, reference_id: str) -> OperationView:
        view = self._view.get(reference_id)
        if view is None or self._hidden(view):
            self._check_read()
            raise UnknownOperation("No operation with that referenceId is known. Old operations are forgotten.")
        return view

    def _hidden(self, view: OperationView) -> bool:
        """Return whether to hide the operation from callers, because an untrusted event says that it has ended.

        Operations of other processes' accounts are not hidden, because callers of this process can't submit such
        operations.
        """
        return not view.trusted and view.account in self._forwarders and view.status in {"acknowledged", "rejected"}

    def _placed(self, view: OperationView) -> OperationView:
        """Add the Kafka topic and partition of the acknowledgement."""
        evidence = view.acknowledgement
        if evidence is None or evidence.key is None:
            return view
        place = self._ledger.place(evidence.topic, evidence.key)
        evidence = msgspec.structs.replace(evidence, topic=place.topic, partition=place.partition)
        return msgspec.structs.replace(view, acknowledgement=evidence)

    def _learnt(self, view: OperationView) -> None:
        correlator = self._correlators.get(view.account)
        if correlator is not None:
            correlator.learnt(view)


def _same(record: Record) -> Record:
    return record
