"""Reads the request topic in a consumer group of all replicas, and makes an operation from each record.

A record that was read is in hand until its operation has a verdict of Web Services, or until its refusal is stored.
Only then may the record's offset be committed. If the process is killed earlier, another member of the group reads the
record again, and finds the operation by its referenceId.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import structlog

from bridge.delivery import KAFKA_FAILURES, kafka_reason
from bridge.errors import (
    BridgeError,
    Busy,
    Conflict,
    KafkaUnavailable,
    LedgerUnread,
    RegistryUnavailable,
    UnknownAccount,
    UnknownOperation,
    UpstreamError,
)
from bridge.observability import metrics
from bridge.pacing import Backoff
from bridge.requests.reading import Envelope, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import TypeAlias

    from bridge.delivery import ConsumedRecord, GroupReader
    from bridge.operations import OperationsService, OperationView, Submission
    from bridge.requests.reading import RequestReading
    from bridge.requests.refusals import Refusals
    from bridge.webservices import UpstreamWatch

    OpenReader: TypeAlias = Callable[[Callable[[], Awaitable[None]]], AbstractAsyncContextManager[GroupReader]]

log = structlog.get_logger(__name__)
Result = TypeVar("Result")


SHARE: Final = 0.5
"""The share of an account's places that requests by Kafka may use. The other places stay free for REST callers."""
STORE_DEADLINE: Final = 7.0
"""Maximum seconds that a rebalance waits for the calls that are storing operations. A write takes 5 s at most."""
VERDICT_MARGIN: Final = 10.0
"""The consumer waits `forward_deadline` plus these seconds for a verdict. Then it leaves the operation to its time-out
and commits the offset."""
UNDELIVERED: Final = 3
"""Maximum failed attempts to deliver an operation while Web Services answers, for example by refusing the login."""
LAG_INTERVAL: Final = 5.0
REFUSED_INTERVAL: Final = 60.0
"""Minimum seconds between two log lines about refused requests."""


class RequestConsumer:
    """Reads requests as a member of the consumer group while `run` runs.

    `open_reader` joins the group. `upstream` must run while the consumer runs. `places` is the number of operations of
    an account that may be under way or wait.
    """

    def __init__(
        self,
        open_reader: OpenReader,
        operations: OperationsService,
        reading: RequestReading,
        refusals: Refusals,
        upstream: UpstreamWatch,
        *,
        places: int,
        forward_deadline: float,
    ) -> None:
        self._open_reader = open_reader
        self._operations = operations
        self._reading = reading
        self._refusals = refusals
        self._upstream = upstream
        self._window = max(1, int(places * SHARE))
        self._verdict_deadline = forward_deadline + VERDICT_MARGIN
        self._tasks: set[asyncio.Task[None]] = set()
        """One task for each record in hand."""
        self._last: dict[bytes | None, asyncio.Task[None]] = {}
        """The newest task of each key. Records with the same key are processed one after the other."""
        self._storing: set[asyncio.Future[OperationView]] = set()
        """The calls that are storing an operation. Cancelling such a call would revoke its operation."""
        self._generation = 0
        """Increases with each `_let_go`, after which the records in hand no longer belong to this process."""
        self._away = False
        """Whether Web Services was away when the consumer last looked."""
        self._waiting = dict.fromkeys(metrics.PAUSE_REASONS, 0)
        """For each reason, the number of records in hand that wait."""
        self._refused = 0
        self._refused_logged_at = -REFUSED_INTERVAL
        self._group: asyncio.TaskGroup | None = None
        self.failing: str | None = None
        """The reason why the request topic can't be read now. None if the topic can be read."""

    async def run(self) -> None:
        """Read requests until cancelled. A cancellation does not interrupt the storing of an operation."""
        async with asyncio.TaskGroup() as self._group:
            await self._stay()

    async def _stay(self) -> None:
        backoff = Backoff(first=0.2, cap=3.0)
        while True:
            try:
                async with self._open_reader(self._let_go) as reader:
                    await self._read(reader, backoff)
            except KAFKA_FAILURES as error:
                self._failed(kafka_reason(error))
            finally:
                metrics.requests_lag.set(0)  # the other members of the group have the partitions now
            await asyncio.sleep(backoff.next_delay())

    async def _read(self, reader: GroupReader, backoff: Backoff) -> None:
        loop = asyncio.get_running_loop()
        assignments, measured_at = 0, 0.0
        while True:
            records = await reader.poll(self._room())
            generation = self._generation
            if reader.assignments != assignments:
                assignments = reader.assignments
                # The former owner of a partition may have stored operations that this view does not have yet.
                await self._operations.read_to_end()
            if generation == self._generation:  # otherwise a rebalance came, and the records are read again
                for record in records:
                    self._begin(reader, record)
            await reader.commit()
            if assignments:
                self._works(backoff)
            if loop.time() - measured_at >= LAG_INTERVAL:
                metrics.requests_lag.set(await reader.lag())
                measured_at = loop.time()

    def _room(self) -> int:
        """Return how many more records the consumer may read now. The result is 0 while it pauses."""
        if self._away != self._upstream.away:
            self._away = self._upstream.away
            log.warning("requests-paused" if self._away else "requests-resumed", reason="web-services")
        room = max(0, self._window - len(self._tasks))
        waits = {reason: tasks > 0 for reason, tasks in self._waiting.items()}
        waits["web-services"] |= self._away
        waits["busy"] |= room == 0
        for reason, paused in waits.items():
            metrics.requests_paused.labels(reason).set(paused or (reason == "kafka" and self.failing is not None))
        return 0 if any(waits.values()) else room

    def _begin(self, reader: GroupReader, record: ConsumedRecord) -> None:
        assert self._group is not None
        before = self._last.get(record.key)
        task = self._last[record.key] = self._group.create_task(self._take(reader, record, before, self._generation))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, record.key))

    def _ended(self, key: bytes | None, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._last.get(key) is task:
            del self._last[key]

    async def _let_go(self) -> None:
        """Finish storing operations, and stop the work on all records in hand. Called before a rebalance and the end.

        The members of the group read the unfinished records again.
        """
        self._generation += 1
        if self._storing:
            await asyncio.wait(self._storing, timeout=STORE_DEADLINE)
        ending = [*self._tasks]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    # -- one record ---------------------------------------------------------------------------------------------------

    async def _take(
        self, reader: GroupReader, record: ConsumedRecord, before: asyncio.Task[None] | None, generation: int
    ) -> None:
        """Process a record until its operation has a verdict, or its refusal is stored."""
        if before is not None:
            await asyncio.wait([before])
        try:
            await self._end(record, generation)
        except Exception:  # no record may end the bridge
            log.exception("request-held", partition=record.partition, offset=record.offset)
            return  # its offset is not committed, so a member of the group reads the record again
        reader.done(record)

    async def _end(self, record: ConsumedRecord, generation: int) -> None:
        try:
            await self._deliver(record, generation)
        except Refused as refused:
            await self._refuse(record, refused)
        except Exception as error:  # a record must not block the records behind it
            log.exception("request-failed", error=type(error).__name__)
            await self._refuse(record, _FAULT)

    async def _deliver(self, record: ConsumedRecord, generation: int) -> None:
        """Make the operation, and wait for its verdict. If the operation was not delivered, try again.

        Raises:
            Refused: the record is invalid.
        """
        submission = await self._patiently(partial(self._reading.submission, record))
        known = self._operations.known(submission.reference_id)
        undelivered = 0
        view = await self._patiently(partial(self._submit, submission, generation))
        metrics.requests.labels("accepted" if known is None else "repeated").inc()
        while True:
            if view is not None and view.promised:
                with suppress(UnknownOperation, LedgerUnread):  # the view has dropped it, so it has ended
                    view = await self._operations.verdict(submission.reference_id, self._verdict_deadline)
            if view is None or not view.undelivered:
                return
            await self._upstream.look()
            undelivered += not self._upstream.away
            if undelivered >= UNDELIVERED:
                return
            with self._waits("web-services"):
                await self._upstream.returned()
            view = await self._patiently(partial(self._submit, submission, generation))

    async def _submit(self, submission: Submission, generation: int) -> OperationView | None:
        """Store the operation, and return it.

        Return None if the same request came earlier and must not be forwarded again, for example because Web Services
        rejected it.

        Raises:
            Refused: the bridge can't make this operation.
            Busy, KafkaUnavailable, RegistryUnavailable: the operation can't be stored now. A retry may work.
        """
        if generation != self._generation:
            await asyncio.get_running_loop().create_future()  # waits until `_let_go` cancels this task
        storing = asyncio.ensure_future(self._operations.submit_async(submission))
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)
        try:
            return await storing
        except (UpstreamError, UnknownOperation):
            return None
        except (Conflict, UnknownAccount) as error:
            raise Refused(error.code, str(error), _envelope(submission)) from None
        except ValueError as error:
            raise Refused(
                "invalid-request", f"The bridge can't store the request: {error}", _envelope(submission)
            ) from None

    async def _refuse(self, record: ConsumedRecord, refused: Refused) -> None:
        """Store the refusal. If the record's content makes that fail, store a refusal without the content."""
        try:
            await self._store_refusal(record, refused)
        except Exception as error:
            log.exception("request-failed", error=type(error).__name__)
            await self._store_refusal(msgspec.structs.replace(record, key=None, headers={}, value=None), _FAULT)

    async def _store_refusal(self, record: ConsumedRecord, refused: Refused) -> None:
        async def store() -> None:
            refusal = self._refusals.refusal(record, refused)
            event = None if refused.problem == Conflict.code else refusal.rejected
            await self._operations.reject(event, refusal.dead_letter)

        await self._patiently(store)
        metrics.requests.labels("rejected").inc()
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._refused_logged_at >= REFUSED_INTERVAL:
            log.warning(
                "requests-refused",
                requests=self._refused,
                problem=refused.problem,
                partition=record.partition,
                offset=record.offset,
            )
            self._refused, self._refused_logged_at = 0, now

    async def _patiently(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Retry while the bridge is busy, or Kafka or the registry is away. The consumer reads nothing meanwhile."""
        backoff = Backoff(first=0.1, cap=2.0)
        while True:
            try:
                return await attempt()
            except (Busy, KafkaUnavailable, RegistryUnavailable) as error:
                with self._waits(_REASONS[type(error)]):
                    await asyncio.sleep(backoff.next_delay())

    @contextmanager
    def _waits(self, reason: str) -> Iterator[None]:
        self._waiting[reason] += 1
        try:
            yield
        finally:
            self._waiting[reason] -= 1

    # -- the group ----------------------------------------------------------------------------------------------------

    def _works(self, backoff: Backoff) -> None:
        backoff.reset()
        if self.failing is not None:
            log.info("requests-read-again")
            self.failing = None

    def _failed(self, reason: str) -> None:
        if reason != self.failing:
            log.warning("requests-unreadable", reason=reason, effect="the bridge tries again")
        self.failing = reason
        metrics.requests_paused.labels("kafka").set(1)


_REASONS: Final[Mapping[type[BridgeError], str]] = {
    Busy: "busy",
    KafkaUnavailable: "kafka",
    RegistryUnavailable: "registry",
}


_FAULT: Final = Refused("bridge-fault", "A fault of the bridge, which its log describes.", Envelope())


def _envelope(submission: Submission) -> Envelope:
    return Envelope(
        submission.reference_id,
        submission.requested_by,
        submission.account,
        submission.record_handle,
        submission.request.body(),
    )
