"""Finds the operation that an acknowledgement ends, while the relay publishes the acknowledgement.

The relay commits the acknowledgement and the operation's `acknowledged` event in one transaction, so Kafka gets both or
neither. Before the transaction, `match` waits until Kafka has the operation's earlier events, so that all events are in
order.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import structlog

from bridge.events import operation, rfc3339
from bridge.observability import metrics, tracing
from bridge.operations.view.state import Evidence, event_of, told_topic
from bridge.webservices import NOTIFICATIONS, OUTBOUND_OPERATIONS, DeviceUserEvent, OutboundRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bridge.events import Operation, Record
    from bridge.operations.ledger.journal import Journal
    from bridge.operations.ledger.records import OperationRecords
    from bridge.operations.view.state import OperationView
    from bridge.operations.view.view import Name, OperationsView
    from bridge.webservices import Message

log = structlog.get_logger(__name__)

EARLY_ROOM: Final = 4096
"""Maximum number of early acknowledgements. An acknowledgement is early if its operation is not known yet. Most early
acknowledgements belong to other clients, and never match. The oldest are dropped first."""
EARLY_AT_ONCE: Final = 256
"""Maximum number of early acknowledgements kept from one transaction, once the view is loaded. The newest are kept,
because another replica may have forwarded their operations just now."""
EARLY_AGE: Final = 10.0
"""Seconds after which an early acknowledgement no longer matches, once the view is loaded."""
LOAD_PATIENCE: Final = 3.0
"""Seconds after the relay's start during which events wait until the ledger is read. After a longer wait the relay
publishes them although some of their operations may be unknown."""
SETTLE_DEADLINE: Final = 30.0
"""Seconds that `match` waits until Kafka has the operation's earlier events. After this time the relay publishes the
acknowledgement without waiting any longer. During a Kafka outage `match` keeps waiting, because the relay can't publish
either."""


class _Early(NamedTuple):
    """An acknowledgement whose operation is not known yet."""

    notification_type: str | None
    evidence: Evidence
    at: float
    """When the acknowledgement arrived, by `time.monotonic`."""


class Correlation:
    """The operations that the acknowledgements of one transaction end.

    `records` contains their `acknowledged` events, for the same transaction.
    """

    def __init__(
        self, correlator: Correlator, matches: Sequence[tuple[Operation, Record]], early: Mapping[int, str]
    ) -> None:
        self._correlator = correlator
        self._events = [event for event, _ in matches]
        self._matched = {id(record): place for place, (_, record) in enumerate(matches)}
        self._early = early
        """The referenceIds of the early acknowledgements, by the `id()` of their record."""
        self._traces: list[str | None] = []
        self._spans: list[tracing.Span] = []
        self.records: list[Record] = []
        """The records of the `acknowledged` events, for the transaction of the acknowledgements."""
        if not matches:
            return
        causes = [correlator.traceparent(event) for event in self._events]
        self._turn = tracing.begin("relay turn", tracing.SpanKind.INTERNAL, None, links=causes)
        self._spans.append(self._turn)
        for (event, record), cause in zip(matches, causes, strict=True):
            self._traces.append(self._trace(record, cause))
            self.records.append(correlator.records.record(event, self._traces[-1]))

    def revise(self, record: Record, letter: Record) -> tuple[Record, Record] | None:
        """Let the `acknowledged` event refer to the dead letter, because Kafka refused the acknowledgement.

        Returns the event's old and new record, or None if the acknowledgement ends no operation.
        """
        evidence = _evidence_in(letter)
        reference = self._early.get(id(record))
        if reference is not None:
            self._correlator.moved(reference, evidence)
        place = self._matched.get(id(record))
        if place is None:
            return None
        self._events[place] = msgspec.structs.replace(
            self._events[place],
            acknowledgement_id=evidence.id,
            acknowledgement_key=evidence.key,
            acknowledgement_topic=evidence.topic,
        )
        before = self.records[place]
        self.records[place] = self._correlator.records.record(self._events[place], self._traces[place])
        return before, self.records[place]

    def _trace(self, record: Record, cause: str | None) -> str | None:
        """Add the operation's trace context, if any, to the acknowledgement's record. Return the trace context."""
        if cause is None:
            return None
        span = tracing.begin_publishing(record.topic, cause, links=[tracing.traceparent(self._turn)])
        self._spans.append(span)
        traceparent = tracing.traceparent(span) or cause
        record.headers.append(("traceparent", traceparent.encode()))
        return traceparent

    def committed(self) -> None:
        """Apply the events to the view after the commit, and end the spans."""
        for event in self._events:
            self._correlator.acknowledged(event)
        for span in self._spans:
            span.end()


class Correlator:
    """Matches the acknowledgements of one account. `loaded` is set once the ledger has been read into the view."""

    def __init__(
        self,
        account: str,
        view: OperationsView,
        journal: Journal,
        records: OperationRecords,
        *,
        loaded: asyncio.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._account = account
        self._view = view
        self._journal = journal
        self.records = records
        self._loaded = loaded
        self._clock = clock
        self._early: dict[str, _Early] = {}
        self._latency = metrics.operation_acknowledgement.labels(account)
        self._outcomes = {
            late: metrics.operations.labels(account, "acknowledged-late" if late else "acknowledged")
            for late in (False, True)
        }
        self.relaying_since: float | None = None
        """When this process began to relay the account (`time.monotonic`). None while it is not relayed here."""
        self.caught_up = asyncio.Event()
        """Set once the first CometD reply is in Kafka. That reply has the messages that queued while no bridge ran."""

    # -- called by the relay ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Record that this process relays the account now."""
        self.relaying_since = time.monotonic()
        self.caught_up.clear()  # a replica may take the same account over several times

    async def up_to_date(self) -> None:
        """Wait until the view is loaded and the first CometD reply is in Kafka."""
        await self._loaded.wait()
        await self.caught_up.wait()

    def decides(self, *, after: float) -> bool:
        """Return whether this process may time out the account's operations.

        The process may time out operations if it relays the account, the view is loaded, and the first CometD reply is
        in Kafka. If the CometD server sends no reply, the process may do so `after` seconds after the start.
        """
        if self.relaying_since is None or not self._loaded.is_set():
            return False
        return self.caught_up.is_set() or time.monotonic() - self.relaying_since >= after

    @property
    def needed(self) -> int | None:
        """How many of the newest messages of a transaction `match` needs now. None: all."""
        return None if self._view.awaits(self._account) or not self._loaded.is_set() else EARLY_AT_ONCE

    async def match(self, messages: Sequence[Message], records: Sequence[Record]) -> Correlation | None:
        """Find the operations that these messages acknowledge. `records` has the Kafka record of each message.

        Returns None if no operation is acknowledged and no acknowledgement is kept for later.

        Until `LOAD_PATIENCE` after the relay's start, `match` waits until the view is loaded. An acknowledgement that
        arrives before the view is loaded is kept, and matched when its operation is read.
        """
        if not self._loaded.is_set():
            await self._view_loaded()
        if not self._view.awaits(self._account):
            early = self._keep_early(messages, records)
            return Correlation(self, [], early) if early else None
        matches = list(self._matches(messages, records))
        early = self._keep_early(messages, records)
        if not matches:
            return Correlation(self, [], early) if early else None
        events = [event for event, _ in matches]
        self._view.settling |= {event.reference_id for event in events}
        await self._settle(events)
        return Correlation(self, matches, early)

    async def _view_loaded(self) -> None:
        """Wait until the view is loaded, but at most until `LOAD_PATIENCE` after the relay's start."""
        if self.relaying_since is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self.relaying_since + LOAD_PATIENCE - time.monotonic()):
                await self._loaded.wait()

    def moved(self, reference: str, evidence: Evidence) -> None:
        """Replace the evidence of an early acknowledgement that this correlator still keeps."""
        early = self._early.get(reference)
        if early is not None:
            self._early[reference] = early._replace(evidence=evidence)

    def turned(self) -> None:
        """Record that a whole CometD reply is in Kafka."""
        self.caught_up.set()

    def stop(self) -> None:
        """Record that the relay has ended."""
        self.relaying_since = None

    # -- called by the reading of the ledger --------------------------------------------------------------------------

    def learnt(self, view: OperationView) -> None:
        """Write the `acknowledged` event of a new operation whose acknowledgement arrived earlier."""
        early = self._early.pop(view.reference_id, None)
        if early is None or not _answers(early.notification_type, view):
            return
        if self._loaded.is_set() and time.monotonic() - early.at > EARLY_AGE:
            return
        event = self._acknowledged(view, early.evidence)
        self._journal.note(self.record(event))
        self.acknowledged(event)

    # -- the rules ----------------------------------------------------------------------------------------------------

    def _matches(self, messages: Sequence[Message], records: Sequence[Record]) -> Iterator[tuple[Operation, Record]]:
        """Yield each `acknowledged` event with the record of its acknowledgement, and note user events in the view."""
        view, settling = self._view, self._view.settling
        pending = view.pending_count(self._account)
        matched: set[str] = set()
        for message, record in zip(messages, records, strict=True):
            if isinstance(message, OutboundRecord):
                reference = message.reference_id
                found = view.get(reference) if reference is not None else self._by_record(message.operation, message)
                if (
                    found is not None
                    and found.reference_id not in matched
                    and found.reference_id not in settling
                    and _answers(message.notification_type, found)
                    and found.account == self._account
                ):
                    matched.add(found.reference_id)
                    yield self._acknowledged(found, _evidence_in(record)), record
            elif pending and isinstance(message, DeviceUserEvent):
                found = self._by_record(NOTIFICATIONS.get(message.user_event or ""), message)
                if found is not None and found.reference_id not in matched:
                    view.note_user_event(found.reference_id, _event_id(record))

    def _by_record(self, operation: str | None, message: OutboundRecord | DeviceUserEvent) -> OperationView | None:
        """Find the operation of a message without referenceId: the only pending operation on the message's record."""
        if operation is None:
            return None
        for named in (message.record_handle, message.phone_number):
            if named is not None:
                name: Name = (
                    self._account,
                    operation,
                    message.application_id,
                    message.campaign_name,
                    named,
                )
                found = self._view.only_pending(name)
                if found is not None:
                    return found
        return None

    def _keep_early(self, messages: Sequence[Message], records: Sequence[Record]) -> dict[int, str]:
        kept: dict[int, str] = {}
        early, now = self._early, time.monotonic()
        newest = -EARLY_AT_ONCE if self._loaded.is_set() else -EARLY_ROOM
        for message, record in zip(messages[newest:], records[newest:], strict=True):
            if isinstance(message, OutboundRecord):
                reference = message.reference_id
                if reference is not None and self._view.get(reference) is None:
                    early[reference] = _Early(message.notification_type, _evidence_in(record), now)
                    kept[id(record)] = reference
        while len(early) > EARLY_ROOM:
            del early[next(iter(early))]
        return kept

    def _acknowledged(self, view: OperationView, evidence: Evidence) -> Operation:
        now = self._clock()
        forwarded = self._view.forwarded.get(view.reference_id)
        began = view.began if forwarded is None else forwarded.at
        return event_of(
            view,
            "acknowledged",
            rfc3339(now),
            acknowledgement_id=evidence.id,
            acknowledgement_key=evidence.key,
            acknowledgement_topic=told_topic(evidence.topic),
            late=view.status == "timed-out",
            latency_ms=max(0, round((now - began) * 1000)),
        )

    async def _settle(self, events: Iterable[Operation]) -> None:
        while True:
            try:
                async with asyncio.timeout(SETTLE_DEADLINE):
                    for event in events:
                        await self._journal.settled(event.reference_id.encode())
            except TimeoutError:
                if not self._journal.available:
                    continue
                log.warning("operation-events-late", account=self._account)
            return

    def record(self, event: Operation) -> Record:
        """Make the Kafka record of an event, with the trace context of its operation."""
        return self.records.record(event, tracing.publishing(operation.TOPIC, self.traceparent(event)))

    def traceparent(self, event: Operation) -> str | None:
        """Return the trace context of an operation that this process forwards, None if there is none."""
        forwarded = self._view.forwarded.get(event.reference_id)
        return None if forwarded is None else forwarded.traceparent

    def acknowledged(self, event: Operation) -> None:
        """Apply an `acknowledged` event to the view, which wakes waiting callers, and count it."""
        self._view.settling.discard(event.reference_id)
        self._view.apply(event)
        self._outcomes[event.late].inc()
        if event.latency_ms is not None:
            self._latency.observe(event.latency_ms / 1000)


def _answers(notification_type: str | None, view: OperationView) -> bool:
    """Return whether a notification of this type ends the operation. Without a type, the referenceId is enough."""
    if view.status == "acknowledged" or not view.trusted:
        return False
    known = OUTBOUND_OPERATIONS.get(view.operation)
    return notification_type is None or (known is not None and notification_type in known.acknowledgements)


def _evidence_in(record: Record) -> Evidence:
    return Evidence(id=_event_id(record), key=record.key.decode(), topic=record.topic)


def _event_id(record: Record) -> str:
    return next(value for name, value in record.headers if name == "ce_id").decode()
