"""A publisher and a ledger without Kafka, for tests of the parts above them. They keep the same promises."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bridge.delivery import ConsumedRecord, Place
from bridge.delivery.client.failures import TOO_LARGE
from bridge.delivery.slots.publisher import revise_nothing
from bridge.delivery.slots.state import CONNECTED, FENCED, NOT_STARTED, STOPPED, PublisherState
from bridge.errors import Fenced, KafkaUnavailable
from bridge.events import JSON, Record, dead_letter
from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery.ledger.follower import Take
    from bridge.delivery.position.position import Position
    from bridge.delivery.slots.publisher import Revise
    from bridge.events import Encoding

MEMORY_POLL: Final = 0.01
UNAVAILABLE = PublisherState(connected=False, reason="kafka unreachable")


@dataclass
class MemoryKafka:
    """What all publishers of one cluster share: the committed records in their order, and each account's position."""

    records: list[Record] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    max_record_bytes: int = 1 << 20
    """Larger values become dead letters."""
    available: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, starts and publishes wait; it is set at first."""

    def __post_init__(self) -> None:
        self.available.set()


class MemoryPublisher:
    """A `Publisher` that keeps the records in `kafka.records`. The later of two publishers of an account fences."""

    def __init__(self, kafka: MemoryKafka, account: str, encoding: Encoding = JSON) -> None:
        self.kafka = kafka
        self.state: PublisherState = NOT_STARTED
        self._account = account
        self._encoding = encoding
        self._epoch = 0

    @property
    def position(self) -> Position | None:
        """The account's committed position."""
        return self.kafka.positions.get(self._account)

    async def start(self) -> Position | None:
        """See `Publisher.start`."""
        await self._wait_available()
        self.kafka.epochs[self._account] += 1
        self._epoch = self.kafka.epochs[self._account]
        return self.position

    async def publish(self, records: Sequence[Record], position: Position, revise: Revise = revise_nothing) -> None:
        """See `Publisher.publish`."""
        if not self._epoch:
            raise RuntimeError("publish() before start()")
        await self._wait_available()
        await self.confirm()
        revised: dict[int, Record] = {}
        fitting = []
        for record in records:
            fitting.append(self._fitting(record, position.last_reply_at or 0.0))
            if fitting[-1] is not record and (pair := revise(record, fitting[-1])) is not None:
                revised[id(pair[0])] = pair[1]
        self.kafka.records.extend(revised.get(id(record), record) for record in fitting)
        self.kafka.positions[self._account] = position

    async def confirm(self) -> None:
        """See `Publisher.confirm`."""
        if self._epoch != self.kafka.epochs[self._account]:
            self.state = FENCED
            raise Fenced(f"account {self._account}: {FENCED.reason}")

    def sign_again(self) -> None:
        """See `Publisher.sign_again`. Positions in memory have no signature."""

    async def stop(self) -> None:
        """See `Publisher.stop`."""
        if self.state is not FENCED:
            self.state = STOPPED

    async def _wait_available(self) -> None:
        if not self.kafka.available.is_set():
            self.state = UNAVAILABLE
            await self.kafka.available.wait()
        self.state = CONNECTED

    def _fitting(self, record: Record, at: float) -> Record:
        if len(record.value) <= self.kafka.max_record_bytes:
            return record
        metrics.events_dead_lettered.labels(self._account, TOO_LARGE).inc()
        return dead_letter(record, TOO_LARGE, at=at, encoding=self._encoding)


class MemoryLedger:
    """A `Ledger` in `kafka.records`; the topic has one partition."""

    def __init__(self, kafka: MemoryKafka, topic: str) -> None:
        self._kafka = kafka
        self.topic = topic
        self._read = 0
        self._behind = True
        self._rewound = False
        self._again: int | None = None

    async def append(self, records: Sequence[Record]) -> None:
        """See `Ledger.append`."""
        if not self._kafka.available.is_set():
            raise KafkaUnavailable("kafka unreachable")
        self._kafka.records.extend(records)

    async def follow(self, take: Take, caught_up: Callable[[], None]) -> None:
        """See `Ledger.follow`."""
        await self._kafka.available.wait()
        self._read, self._behind = 0, True
        while True:
            start, fresh = self._read, self._kafka.records[self._read :]
            told = [
                ConsumedRecord(self.topic, 0, offset, 0, record.key, dict(record.headers), record.value)
                for offset, record in enumerate(fresh, start)
                if record.topic == self.topic
            ]
            again = await take(told)
            self._read += len(fresh)
            if again is not None and self._again is None:
                self._again = told[again].offset
            if self._rewound:
                self._rewound, self._behind = False, True
                self._read, self._again = self._read if self._again is None else self._again, None
            elif self._behind:
                self._behind = False
                caught_up()
            await asyncio.sleep(MEMORY_POLL)

    async def catch_up(self) -> None:
        """See `Ledger.catch_up`."""
        if not self._kafka.available.is_set():
            raise KafkaUnavailable("kafka unreachable")
        end = len(self._kafka.records)
        while self._read < end:  # noqa: ASYNC110 -- `follow` polls as well
            await asyncio.sleep(MEMORY_POLL)

    def rewind(self) -> None:
        """See `Ledger.rewind`."""
        self._rewound = True

    def place(self, topic: str, key: str) -> Place:  # noqa: ARG002 -- one partition
        """See `Ledger.place`."""
        return Place(topic, 0)

    async def stop(self) -> None:
        """See `Ledger.stop`."""
