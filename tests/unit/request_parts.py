"""What tests of requests by Kafka are made of: a request topic in memory, its consumer, and records of every kind."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka import TopicPartition

from bridge.delivery import ConsumedRecord
from bridge.delivery.offsets import OffsetsInHand
from bridge.events import JSON, DeadLetter
from bridge.operations import OUTBOUND_OPERATIONS
from bridge.requests import RequestConsumer
from bridge.requests.reading import RequestReading
from bridge.requests.refusals import Refusals
from bridge.webservices import UpstreamWatch
from tests.memory_kafka import MemoryKafka
from tests.unit.operation_parts import ACCOUNT, SAMPLE, ScriptedUpstream, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from bridge.events import Encoding
    from bridge.operations import OperationsService
    from bridge.privacy import Concealment

TOPIC = "gws.requests.v1"
HEADERS = {"ce_specversion": b"1.0", "ce_id": b"7", "ce_source": b"/crm", "ce_type": b"gws.request.v1"}
REQUEST = {name: value for name, value in SAMPLE.items() if name != "referenceId"}
POLL = 0.005


def value(**changes: Any) -> bytes:
    """The value of a valid request; `changes` of its members."""
    return msgspec.json.encode({"account": None, "recordHandle": 13, "request": REQUEST} | changes)


class RequestTopic:
    """One partition of the request topic in memory, with the group's committed offset."""

    def __init__(self) -> None:
        self.records: list[ConsumedRecord] = []
        self.committed = 0
        self.paused = False
        self.polls = 0

    def send(self, key: bytes | None = b"1", sent: bytes | None = None, **headers: bytes | None) -> int:
        """Append a record; by default a valid request. A header of None is left out. Return the offset."""
        told = {name: header for name, header in (HEADERS | headers).items() if header is not None}
        offset = len(self.records)
        self.records.append(ConsumedRecord(TOPIC, 0, offset, 0, key, told, value() if sent is None else sent))
        return offset

    @asynccontextmanager
    async def reader(self, let_go: Callable[[], Awaitable[None]]) -> AsyncIterator[MemoryReader]:
        """A member of the group; `consumers` open it."""
        reader = MemoryReader(self, let_go)
        try:
            yield reader
        finally:
            await reader.end()


class MemoryReader:
    """The `GroupReader` of a `RequestTopic`."""

    def __init__(self, topic: RequestTopic, let_go: Callable[[], Awaitable[None]]) -> None:
        self._topic = topic
        self._let_go = let_go
        self._next = topic.committed
        self._offsets = OffsetsInHand()
        self._place = TopicPartition(TOPIC, 0)
        self.assignments = 1
        self.rebalance = asyncio.Event()

    async def poll(self, room: int) -> Sequence[ConsumedRecord]:
        await asyncio.sleep(POLL)
        self._topic.polls += 1
        self._topic.paused = not room
        found = self._topic.records[self._next : self._next + room]
        for record in found:
            self._offsets.begin(self._place, record.offset)
        self._next += len(found)
        return found

    def done(self, record: ConsumedRecord) -> None:
        self._offsets.end(self._place, record.offset)

    async def commit(self) -> None:
        for offset in self._offsets.due().values():
            self._topic.committed = offset

    async def lag(self) -> int:
        return len(self._topic.records) - self._topic.committed

    async def end(self) -> None:
        await self._let_go()
        await self.commit()


class Answers:
    """Whether Web Services answers when it is asked."""

    def __init__(self) -> None:
        self.answer = True

    async def __call__(self) -> bool:
        return self.answer


class Side:
    """A running consumer of requests, and all that it works with."""

    def __init__(self, topic: RequestTopic, kafka: MemoryKafka, upstream: ScriptedUpstream) -> None:
        self.topic = topic
        self.kafka = kafka
        self.upstream = upstream
        self.service: OperationsService
        self.consumer: RequestConsumer
        self.answers = Answers()

    def dead_letters(self) -> list[DeadLetter]:
        """The dead letters in Kafka."""
        return [
            msgspec.json.decode(one.value, type=DeadLetter)
            for one in self.kafka.records
            if one.topic == "dead-letters.v1"
        ]

    def done(self) -> bool:
        """Whether all requests are committed."""
        return self.topic.committed == len(self.topic.records)


@asynccontextmanager
async def consuming(
    upstream: ScriptedUpstream | None = None,
    topic: RequestTopic | None = None,
    kafka: MemoryKafka | None = None,
    *,
    encoding: Encoding = JSON,
    privacy: Concealment | None = None,
    enabled: tuple[str, ...] = ("DoNotCallRecord",),
    **limits: Any,
) -> AsyncIterator[Side]:
    """A running service with a consumer of requests."""
    side = Side(topic or RequestTopic(), kafka or MemoryKafka(), upstream or ScriptedUpstream())
    async with running(side.upstream, side.kafka, enabled=enabled, **limits) as side.service:
        service = side.service
        watch = UpstreamWatch(lambda: 0.0, side.answers)
        side.consumer = RequestConsumer(
            side.topic.reader,
            service,
            RequestReading(encoding, enabled),
            Refusals(
                encoding,
                privacy,
                default_account=lambda: ACCOUNT,
                known={ACCOUNT},
                operations=OUTBOUND_OPERATIONS,
            ),
            watch,
            places=limits.get("concurrency", 32) + limits.get("waiting_room", 256),
            forward_deadline=limits.get("forward_deadline", 20),
        )
        watching = asyncio.create_task(watch.run())
        task = asyncio.create_task(side.consumer.run())
        try:
            yield side
        finally:
            watching.cancel()
            task.cancel()
            await asyncio.wait([watching, task])
            if not task.cancelled() and task.exception() is not None:
                task.result()
