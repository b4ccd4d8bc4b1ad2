"""The relay loop of one account: publishes the events of its CometD session to Kafka, each event exactly once.

One turn of the loop (`bridge.cometd` does the polls)::

    poll, acknowledging N → reply: events and N' → give each event its sequence → translate
    → ONE Kafka transaction {event records, the position} → commit → poll, acknowledging N'

The server keeps its copy of the events until a poll acknowledges them. That poll comes only after Kafka's commit. If
the server sends events again, the position (the session and its last published event) shows which events Kafka has.
Consumers need no deduplication. docs/delivery.md explains what happens if the bridge dies at any step.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import structlog

from bridge.cometd import Batch, CometdSession, Event, Resume
from bridge.delivery import EMPTY_POSITION, revise_nothing
from bridge.errors import RelayEnded
from bridge.events import JSON
from bridge.observability import metrics
from bridge.relay.in_flight_guard import InFlightGuard
from bridge.relay.numbering import Chunk, chunks, start_of
from bridge.relay.session_changes import SessionChanges
from bridge.relay.translation import Translator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.cometd import Credentials, HttpSession, Opening, Options
    from bridge.delivery import Position, Publisher, Revise
    from bridge.events import Encoding, Record
    from bridge.pacing import Gate
    from bridge.privacy import Concealment
    from bridge.relay.in_flight import InFlight
    from bridge.relay.translation import Translation
    from bridge.webservices import Message

log = structlog.get_logger(__name__)

CHUNK: Final = 4000
"""Maximum number of events in one transaction. A part of a long reply (1 MiB, about 3,300 events) fits into it."""
CLOSE_TIMEOUT: Final = 3.0
"""Seconds that ending a session may take on a planned stop."""
REFRESH: Final = 5.0
"""Seconds. An empty reply updates a position in Kafka that is older than this, so a later gap's `from` is exact."""


class OnDelivery(Protocol):
    """A callback for the arrival of events."""

    def __call__(self, *, acknowledgement: bool) -> None:
        """The relay calls this before it publishes events.

        `acknowledgement` is True if at least one of the events is an acknowledgement.
        """


def _not_told(*, acknowledgement: bool) -> None:
    """Do nothing."""


class Correlation(Protocol):
    """The operations that become acknowledged in one transaction."""

    records: list[Record]
    """The operations' events, which the relay publishes in the same transaction as the acknowledgements."""

    def revise(self, record: Record, letter: Record) -> tuple[Record, Record] | None:
        """The publisher calls this when the dead letter `letter` replaces `record`. See `bridge.delivery.Revise`."""

    def committed(self) -> None:
        """The relay calls this after the commit of the transaction."""


class Correlator(Protocol):
    """Finds the operations that acknowledgements belong to. The relay awaits `match` before each transaction."""

    def start(self) -> None:
        """The relay calls this after it has taken the account over."""

    @property
    def needed(self) -> int | None:
        """How many of the newest messages of a transaction `match` needs now. None: all."""

    async def match(self, messages: Sequence[Message], records: Sequence[Record]) -> Correlation | None:
        """Return the operations that these messages acknowledge, or None. `records` are the messages' Kafka records."""
        ...

    def turned(self) -> None:
        """The relay calls this when all events of a CometD reply are in Kafka."""

    def stop(self) -> None:
        """The relay calls this when it ends."""


class Relay:
    """Receives the batches of one account's CometD session. Only the relay writes the account's events and position."""

    def __init__(
        self,
        options: Options,
        http: HttpSession,
        credentials: Credentials,
        publisher: Publisher,
        *,
        in_flight: InFlight | None = None,
        handshakes: Gate | None = None,
        encoding: Encoding = JSON,
        privacy: Concealment | None = None,
        chunk: int = CHUNK,
        on_open: Callable[[], None] = lambda: None,
        on_delivery: OnDelivery = _not_told,
    ) -> None:
        self._account = options.account
        self._options = options
        self._http = http
        self._credentials = credentials
        self._publisher = publisher
        self._handshakes = handshakes
        self._in_flight = InFlightGuard(options.account, in_flight)
        self._chunk = chunk
        self._on_open = on_open
        self._on_delivery = on_delivery
        self._encoding = encoding
        self._translator = Translator(options.account, encoding, privacy)
        self._position: Position = EMPTY_POSITION
        self._noted_at = 0.0
        """The `last_reply_at` of the position in Kafka."""
        self._changes = SessionChanges(options.account, encoding)
        self._stopping = False
        self._starting: asyncio.Timeout | None = None
        self._delivery = metrics.event_delivery.labels(self._account)
        self._received = {kind: metrics.events_received.labels(self._account, kind) for kind in metrics.KINDS}
        self.correlator: Correlator | None = None
        """Set the correlator before `run`, if there is one."""
        self.session: CometdSession | None = None
        """None until the relay has read its position from Kafka."""

    async def run(self) -> None:
        """Relay until `stop`, cancellation, or a takeover by another bridge.

        `run` does not end the CometD session on the server, so another bridge can resume it.

        Raises:
            Fenced: another bridge relays this account now.
            RelayEnded: the loop ended without a stop, which is a bug. The error must end the process. A task group
                ignores a child that returns or was cancelled, so the bridge would look alive without its relay.
        """
        task = asyncio.current_task()
        try:
            await self._relay()
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():
                raise
            # Nobody cancelled this task, so a library must have cancelled a future that the relay awaits.
            raise RelayEnded(
                f"the relay of account {self._account} was cancelled unexpectedly; this is a bug"
            ) from error
        finally:
            if self.correlator is not None:
                self.correlator.stop()
        if not self._stopping:
            raise RelayEnded(f"the relay of account {self._account} ended without a stop; this is a bug")

    async def _relay(self) -> None:
        if self._stopping:
            return
        self._starting = starting = asyncio.timeout(None)
        try:
            async with starting:
                resume = await self.begin()
        except TimeoutError:
            if not starting.expired():  # the TimeoutError comes from `begin`, not from `stop`
                raise
            return  # stopped before the session began, so no batch is waiting
        finally:
            self._starting = None
        self.session = CometdSession(
            self._http, self._credentials, self._options, self, resume=resume, handshakes=self._handshakes
        )
        await self.session.run()

    async def begin(self) -> Resume | None:
        """Take the account over. Return the CometD session to resume, None if a new session is needed.

        Raises:
            Fenced: another bridge relays this account now.
        """
        await self._encoding.ready()  # before `start` takes the account from another bridge
        self._position = await self._publisher.start() or EMPTY_POSITION
        if self.correlator is not None:
            self.correlator.start()
        await self._publish_what_was_left()
        at = self._position
        return Resume(at.client_id, at.acknowledgement, at.cookies) if at.client_id else None

    def stop(self) -> None:
        """Make `run` return as soon as the current batch is committed."""
        if self._stopping:
            return
        self._stopping = True
        if self.session is not None:
            self.session.stop()
        elif self._starting is not None:
            self._starting.reschedule(asyncio.get_running_loop().time())

    async def close(self, reason: str) -> None:
        """End the CometD session on the server, within `CLOSE_TIMEOUT`. Call this after `run`.

        `reason` is the stable word in the `closed` event. Call this only if no other bridge will resume this session.
        """
        if self.session is None or not self._position.client_id:
            return
        closing = asyncio.timeout(CLOSE_TIMEOUT)
        try:
            async with closing:
                await self.session.end()
                self._changes.closed(self._position.client_id, reason)
                await self._publisher.publish(self._changes.records, EMPTY_POSITION)
        except TimeoutError:
            if not closing.expired():
                raise
            log.warning("close-timed-out", account=self._account)

    @property
    def weakness(self) -> str | None:
        """The code of the error that stops `state_dir` from protecting events, or None if there is no error."""
        return self._in_flight.weakness

    # -- the sink of the CometD session -------------------------------------------------------------------------------

    async def arrived(self, batch: Batch) -> None:
        """Save a batch to `state_dir`, if that is set and the server would not send the batch again."""
        await self._in_flight.keep(batch, self._position)

    async def received(self, batch: Batch) -> None:
        """Publish every event of the batch. After the return the server may drop its copy."""
        await self._in_flight.keep(batch, self._position)
        for step in chunks(self._position, batch, self._chunk):
            await self._publish(step, batch.received_at)
        await self._in_flight.published(batch)
        if self.correlator is not None and not batch.more:
            self.correlator.turned()
        self._delivery.observe(time.time() - batch.received_at)

    async def _publish(self, step: Chunk, received_at: float) -> None:
        translation = self._translate(self._position.client_id, step, received_at)
        match = await self._match(translation)
        records = translation.records if match is None else [*translation.records, *match.records]
        heard_at = step.position.last_reply_at or 0.0
        due = bool(records or self._changes.records) or abs(heard_at - self._noted_at) >= REFRESH
        if due:
            position = msgspec.structs.replace(step.position, cookies=self._http.cookies())
            await self._publisher.publish([*self._changes.records, *records], position, _revise(match))
            self._changes.records.clear()
            self._noted_at = heard_at
        self._position = step.position
        if match is not None:
            match.committed()

    async def _match(self, translation: Translation) -> Correlation | None:
        count = len(translation.parsed)
        if self.correlator is None or not count:
            return None
        return await self.correlator.match(translation.parsed, translation.records[-count:])

    def _translate(self, client_id: str, step: Chunk, received_at: float) -> Translation:
        translation = self._translator.translate(
            step.events,
            session=self._changes.hash(client_id),
            first_sequence=step.first_sequence,
            received_at=received_at,
            keep=0 if self.correlator is None else self.correlator.needed,
        )
        for kind, count in translation.counts.items():
            if count:
                self._received[kind].inc(count)
        if step.events:
            self._on_delivery(acknowledgement=translation.acknowledgements > 0)
        return translation

    async def opened(self, opening: Opening) -> None:
        """Publish a new session's events and first position. A resumed session's event waits for the first batch."""
        self._on_open()
        self._changes.opened(opening, self._position)
        if not opening.resumed:
            opened_at = time.time()
            self._position = start_of(opening.client_id, opened_at, ack_extension=opening.ack_extension)
            await self._publish(Chunk((), 0, self._position), opened_at)

    async def displaced(self) -> None:
        """Raise Fenced if another bridge has taken the account over.

        A bridge writes its takeover to Kafka before its first poll, so Kafka already shows it.
        """
        await self._publisher.confirm()

    # -- without the ack extension: events in `state_dir` -------------------------------------------------------------

    async def _publish_what_was_left(self) -> None:
        """Publish the events that an earlier process left in `state_dir`, in order. Skip events that Kafka has."""
        async for left in self._in_flight.left():
            batch = Batch(
                left.client_id,
                None,
                None,
                [Event(name, msgspec.Raw(data)) for name, data in left.events],
                left.received_at,
            )
            if left.client_id == self._position.client_id:
                fresh = batch.events[max(0, self._position.next_sequence - left.first_sequence) :]
                for step in chunks(self._position, replace(batch, events=fresh), self._chunk):
                    await self._publish(step, left.received_at)
            else:
                await self._publish_of_another_session(batch, left.first_sequence)
            log.info("in-flight-published", account=self._account, events=len(left.events))

    async def _publish_of_another_session(self, batch: Batch, first_sequence: int) -> None:
        """Publish events of a session that can't be resumed, because Kafka has another position or none."""
        at = self._position
        self._position = msgspec.structs.replace(at, last_reply_at=max(at.last_reply_at or 0.0, batch.received_at))
        for first in range(0, len(batch.events), self._chunk):
            events = batch.events[first : first + self._chunk]
            step = Chunk(events, first_sequence + first, self._position)
            translation = self._translate(batch.client_id, step, batch.received_at)
            match = await self._match(translation)
            await self._publisher.publish(
                translation.records + (match.records if match else []), self._position, _revise(match)
            )
            if match is not None:
                match.committed()


def _revise(match: Correlation | None) -> Revise:
    return revise_nothing if match is None else match.revise
