"""Reads the gaps and dead letters of the last day from Kafka, for the console. Reading begins at the first `view`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from bridge.delivery import Follower, topic_name, unreadable_records
from bridge.errors import UNDECODABLE, RegistryUnavailable
from bridge.events import DEAD_LETTERS, SESSIONS, DeadLetter, Session, rfc3339
from bridge.http import Gap, IncidentsView, RefusedRecord
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery import ConsumedRecord
    from bridge.events import Encoding
    from bridge.settings import Kafka

DAY: Final = 86_400.0
MOST: Final = 200
"""Maximum number of gaps, and of dead letters, that are kept. Those that were read first are dropped."""
LONGEST: Final = 256
"""Maximum characters of a text. A longer text is cut, because any program may have written the record."""
PATIENCE: Final = 5.0
"""Maximum seconds between two attempts to fetch a schema from the registry."""
E = TypeVar("E", bound=msgspec.Struct)
V = TypeVar("V")


class Incidents:
    """The newest gaps and dead letters of all accounts of the topic prefix, including those of other replicas.

    Reading begins at the first `view`, so a bridge whose console nobody opens reads neither topic.
    """

    def __init__(self, kafka: Kafka, encoding: Encoding, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wanted = asyncio.Event()
        self._since = 0.0
        self._gaps = _Newest(kafka, SESSIONS, encoding, Session, _gap)
        self._refused = _Newest(kafka, DEAD_LETTERS, encoding, DeadLetter, _refused)

    async def run(self) -> None:
        """Wait for the first `view`, and then follow both topics until cancelled."""
        await self._wanted.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._gaps.run())
            group.create_task(self._refused.run())

    def view(self) -> IncidentsView:
        """Return the gaps and dead letters of the last day, the newest first. Does not block."""
        now = self._clock()
        if not self._wanted.is_set():
            self._since = now - DAY
            self._wanted.set()
        since = max(self._since, now - DAY)
        return IncidentsView(
            since=rfc3339(since),
            reading=not (self._gaps.loaded and self._refused.loaded),
            failing=self._gaps.failing or self._refused.failing,
            gaps=self._gaps.newest(rfc3339(since)),
            refused=self._refused.newest(rfc3339(since)),
            most=MOST,
        )


class _Newest(Generic[E, V]):
    """The newest events of a topic. `shown` returns the console's form of an event, or None to leave the event out."""

    def __init__(
        self,
        kafka: Kafka,
        topic: str,
        encoding: Encoding,
        kind: type[E],
        shown: Callable[[E, ConsumedRecord], V | None],
    ) -> None:
        self._follower = Follower(kafka, topic, DAY)
        self._encoding = encoding
        self._decode = msgspec.json.Decoder(kind).decode
        self._shown = shown
        self._unreadable = unreadable_records(topic_name(kafka, topic))
        self._kept: deque[tuple[str, V]] = deque(maxlen=MOST)
        self.loaded = False

    @property
    def failing(self) -> str | None:
        return self._follower.failing

    async def run(self) -> None:
        await self._follower.run(self._take, self._caught_up)

    def newest(self, since: str) -> list[V]:
        """Return the events since that time, the newest first. The partitions are read one after the other."""
        return [shown for at, shown in sorted(self._kept, key=_time, reverse=True) if at >= since]

    def _caught_up(self) -> None:
        self.loaded = True

    async def _take(self, records: Sequence[ConsumedRecord]) -> None:
        for record in records:
            try:
                event = self._decode(await self._json_of(record))
            except UNDECODABLE as error:
                self._unreadable.found(type(error).__name__)
                continue
            shown = self._shown(event, record)
            if shown is not None:
                self._kept.append((rfc3339(record.timestamp / 1000), shown))

    async def _json_of(self, record: ConsumedRecord) -> bytes:
        backoff = Backoff(cap=PATIENCE)
        while True:
            try:
                return await self._encoding.json_of(record.value or b"")
            except RegistryUnavailable:
                await asyncio.sleep(backoff.next_delay())


def _time(kept: tuple[str, Any]) -> str:
    return kept[0]


def _gap(event: Session, _: ConsumedRecord) -> Gap | None:
    if event.change != "gap":
        return None
    return Gap(
        account=_short(event.account) or "",
        session=_short(event.session) or "",
        previous_session=_short(event.previous_session),
        start=_short(event.from_),
        end=_short(event.to),
        reason=_short(event.reason),
        at=_short(event.received_at) or "",
    )


def _refused(event: DeadLetter, record: ConsumedRecord) -> RefusedRecord:
    return RefusedRecord(
        account=_short(event.account),
        reason=_short(event.problem) or event.reason,
        topic=_short(event.topic) or "",
        size=event.size,
        event_type=_short(event.event_type),
        event_id=_short(event.event_id),
        at=_short(event.received_at) or "",
        partition=record.partition,
        offset=record.offset,
    )


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST else f"{text[:LONGEST]}…"
