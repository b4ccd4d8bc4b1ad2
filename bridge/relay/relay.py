"""One account's relay loop: from its CometD session into Kafka, each event exactly once.

One turn, of which the first and the last step are `bridge.cometd`'s::

    poll, acknowledging N → reply: events and N' → give each event its sequence → translate
    → ONE Kafka transaction {event records, the position} → commit → poll, acknowledging N'

The server keeps its copy until the poll that acknowledges it, and that comes only after Kafka's commit; the position
says what is in Kafka already when the server sends something again. Nothing else is needed: no journal, no
deduplication downstream. docs/delivery.md goes through every point where a turn can be cut off.
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
    from bridge.privacy import Concealment
    from bridge.relay.in_flight import InFlight
    from bridge.relay.translation import Translation
    from bridge.webservices import Message

log = structlog.get_logger(__name__)

CHUNK: Final = 4000
"""Events of one transaction, at most. A part of a long reply (1 MiB, about 3,300 events) fits into one transaction."""
CLOSE_TIMEOUT: Final = 3.0
"""Seconds that the end of a session may take on a planned stop."""
REFRESH: Final = 5.0
"""Seconds after which an empty reply, too, is noted in Kafka: a gap's `from` is true to within that."""


class OnDelivery(Protocol):
    """Is told that events came in the session."""

    def __call__(self, *, acknowledgement: bool) -> None:
        """`acknowledgement`: whether there is one among them."""


def _not_told(*, acknowledgement: bool) -> None:
    """Nobody wants to know."""


class Correlation(Protocol):
    """What a turn's events mean beyond themselves."""

    records: list[Record]
    """To be published in the events' own transaction."""

    def revise(self, record: Record, letter: Record) -> tuple[Record, Record] | None:
        """Take note that a dead letter stands for a record; see `bridge.delivery.Revise`."""

    def committed(self) -> None:
        """Take note that the transaction is committed."""


class Correlator(Protocol):
    """Knows what the events answer. It is asked inside each turn: what it does, every event waits for."""

    async def start(self) -> None:
        """Return once it knows enough to be asked; the relay has just taken the account over."""

    async def match(self, messages: Sequence[Message], records: Sequence[Record]) -> Correlation | None:
        """Tell what these messages mean, whose records are `records`; None where they mean nothing."""
        ...

    def turned(self) -> None:
        """Take note that a whole reply is in Kafka."""

    def stop(self) -> None:
        """Take note that the relay has ended."""


class Relay:
    """The sink of one account's CometD session, and the only writer of its events and its position."""

    def __init__(
        self,
        options: Options,
        http: HttpSession,
        credentials: Credentials,
        publisher: Publisher,
        *,
        in_flight: InFlight | None = None,
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
        self._in_flight = InFlightGuard(options.account, in_flight)
        self._chunk = chunk
        self._on_open = on_open
        self._on_delivery = on_delivery
        self._encoding = encoding
        self._translator = Translator(options.account, encoding, privacy)
        self._position: Position = EMPTY_POSITION
        self._noted_at = 0.0
        """The `last_reply_at` that Kafka has."""
        self._changes = SessionChanges(options.account, encoding)
        self._stopping = False
        self._starting: asyncio.Timeout | None = None
        self._delivery = metrics.event_delivery.labels(self._account)
        self._received = {kind: metrics.events_received.labels(self._account, kind) for kind in metrics.KINDS}
        self.correlator: Correlator | None = None
        """To be set before `run`, where there is one."""
        self.session: CometdSession | None = None
        """There is one from the moment that Kafka has told the position."""

    async def run(self) -> None:
        """Relay until `stop`, cancellation, or a successor. The CometD session stays alive.

        Raises:
            Fenced: another bridge relays this account now.
            RelayEnded: the loop ended although nobody asked for that. This is a bug, which must end the process: a task
                group ignores a child that returns or was cancelled, so the bridge would look alive without its relay.
        """
        task = asyncio.current_task()
        try:
            await self._relay()
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():
                raise
            # A library cancels from inside by cancelling a future that the relay awaits.
            raise RelayEnded(
                f"the relay of account {self._account} was cancelled from inside; this is a bug"
            ) from error
        if not self._stopping:
            raise RelayEnded(f"the relay of account {self._account} ended without a stop; this is a bug")

    async def _relay(self) -> None:
        if self._stopping:
            return
        self._starting = asyncio.timeout(None)
        try:
            async with self._starting:
                resume = await self.begin()
        except TimeoutError:
            if not self._starting.expired():  # a failure of the start itself, not the stop
                raise
            return  # stopped before all was there: nothing is under way
        self.session = CometdSession(self._http, self._credentials, self._options, self, resume=resume)
        try:
            await self.session.run()
        finally:
            if self.correlator is not None:
                self.correlator.stop()

    async def begin(self) -> Resume | None:
        """Take the account over, and return the CometD session to go on with, None where there is none.

        Raises:
            Fenced: another bridge relays this account now.
        """
        await self._encoding.ready()  # first: don't fence a working bridge before this one can encode
        self._position = await self._publisher.start() or EMPTY_POSITION
        if self.correlator is not None:
            await self.correlator.start()
        await self._publish_what_was_left()
        at = self._position
        return Resume(at.client_id, at.acknowledgement, at.cookies) if at.client_id else None

    def stop(self) -> None:
        """Let `run` return when the turn under way is committed."""
        if self._stopping:
            return
        self._stopping = True
        if self.session is not None:
            self.session.stop()
        elif self._starting is not None:
            self._starting.reschedule(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """End the CometD session for good, after `run`, within `CLOSE_TIMEOUT`: for when no successor is to come."""
        if self.session is None or not self._position.client_id:
            return
        closing = asyncio.timeout(CLOSE_TIMEOUT)
        try:
            async with closing:
                await self.session.end()
                self._changes.closed(self._position.client_id, "disconnect-on-exit")
                await self._publisher.publish(self._changes.records, EMPTY_POSITION)
        except TimeoutError:
            if not closing.expired():
                raise
            log.warning("close-timed-out", account=self._account)

    @property
    def weakness(self) -> str | None:
        """A stable word for what makes the guarantee weaker than it could be here."""
        return self._in_flight.weakness

    # -- the sink of the CometD session -------------------------------------------------------------------------------

    async def arrived(self, batch: Batch) -> None:
        """Put what exists only here on the disk, where there is a `state_dir`."""
        await self._in_flight.keep(batch, self._position)

    async def received(self, batch: Batch) -> None:
        """Do one turn: on return every event of the batch is in Kafka, and the server may forget it."""
        async with self._in_flight.of(batch, self._position):
            for step in chunks(self._position, batch, self._chunk):
                await self._publish(step, batch.received_at)
        if self.correlator is not None and not batch.more:
            self.correlator.turned()
        self._delivery.observe(time.time() - batch.received_at)

    async def _publish(self, step: Chunk, received_at: float) -> None:
        translation = self._translate(self._position.client_id, step, received_at)
        match = await self._match(translation)
        records = translation.records if match is None else [*translation.records, *match.records]
        heard_at = step.position.last_reply_at or 0.0
        due = bool(records or self._changes.records) or heard_at - self._noted_at >= REFRESH
        if due:
            position = msgspec.structs.replace(step.position, cookies=self._http.cookies())
            await self._publisher.publish([*self._changes.records, *records], position, _revise(match))
            self._changes.records.clear()
            self._noted_at = heard_at
        self._position = step.position
        if match is not None:
            match.committed()

    async def _match(self, translation: Translation) -> Correlation | None:
        if self.correlator is None or not translation.records:
            return None
        return await self.correlator.match(translation.parsed, translation.records)

    def _translate(self, client_id: str, step: Chunk, received_at: float) -> Translation:
        translation = self._translator.translate(
            step.events,
            session=self._changes.hash(client_id),
            first_sequence=step.first_sequence,
            received_at=received_at,
        )
        for kind, count in translation.counts.items():
            self._received[kind].inc(count)
        if step.events:
            self._on_delivery(acknowledgement=translation.acknowledgements > 0)
        return translation

    async def opened(self, opening: Opening) -> None:
        """Take note of a new or resumed session. Its events go out with the session's first batch, which follows."""
        self._on_open()
        self._changes.opened(opening, self._position)
        if not opening.resumed:
            self._position = start_of(opening.client_id, ack_extension=opening.ack_extension)

    async def displaced(self) -> None:
        """Leave where a successor polls the session; its claim was committed before its first poll."""
        await self._publisher.confirm()

    # -- without the ack extension: what arrived exists only here -----------------------------------------------------

    async def _publish_what_was_left(self) -> None:
        """Publish what an earlier process had in its hands, in order, without what Kafka has of it already."""
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
        """Publish events of a session that is over, or whose position never got to Kafka: none can go on with it."""
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
