"""The Kafka end of a run: when its events were there for read_committed consumers, and whether all of them were."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import NewTopic

from tests.real import kafka_admin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiokafka import TopicPartition

PARTITIONS: Final = 6
"""The bridge's default."""
SAMPLE: Final = 0.01
"""Seconds between two looks at the last stable offsets: the precision of the throughput's end."""
SETTLED: Final = 0.5
"""Seconds without change after which nothing more is to come."""
FETCH_WAIT_MS: Final = 20
KINDS: Final = ("acknowledgements.v1", "user-events.v1")
"""The topics that the events go to, without the prefix."""


class _UserData(msgspec.Struct):
    handle: int = msgspec.field(name="GSW_RECORD_HANDLE", default=-1)


class Original(msgspec.Struct, rename="camel"):
    """What is read of an event as Web Services has sent it."""

    sent_at: float
    reference_id: str = ""
    user_data: _UserData = msgspec.field(default_factory=_UserData)

    @property
    def number(self) -> int:
        """The event's number: user events have no referenceId, but a record handle of their own (`Traffic`)."""
        return int(self.reference_id) if self.reference_id else self.user_data.handle


class _Value(msgspec.Struct):
    original: Original


_decode = msgspec.json.Decoder(_Value).decode


class Incomplete(RuntimeError):
    """Events are missing in Kafka, or there more than once: the run proves nothing."""


@dataclass
class Watch:
    """The last stable offsets over time: what read_committed consumers could read when."""

    starts: Mapping[TopicPartition, int]
    samples: list[tuple[float, Mapping[TopicPartition, int]]] = field(default_factory=list)

    def complete_at(self, last: Mapping[TopicPartition, int]) -> float:
        """The first time at which the `last` offset of every partition could be read."""
        return next(at for at, ends in self.samples if all(ends[place] > offset for place, offset in last.items()))


def topics_of(prefix: str) -> list[str]:
    """The full names of the topics that the events of a run go to."""
    return [f"{prefix}.{kind}" for kind in KINDS]


async def create_topics(bootstrap: str, prefix: str) -> None:
    """Create these topics as the bridge would."""
    async with kafka_admin(bootstrap) as admin, asyncio.timeout(10):
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics_of(prefix)])


@asynccontextmanager
async def consuming(bootstrap: str, prefix: str) -> AsyncIterator[TopicReader]:
    """A read_committed consumer of these topics."""
    consumer = AIOKafkaConsumer(
        *topics_of(prefix),
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    async with asyncio.timeout(20):
        await consumer.start()
    try:
        yield TopicReader(consumer)
    finally:
        async with asyncio.timeout(20):
            await consumer.stop()


class TopicReader:
    """Reads the topics of a run, from the offsets that it is told: take them by `ends` before the events are sent."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        # The consumer fetches ahead in the background, which must not compete with what is measured.
        self._consumer.pause(*consumer.assignment())

    async def ends(self) -> Mapping[TopicPartition, int]:
        """The last stable offset of every partition."""
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(self._consumer.assignment())
        return ends

    async def watch(self, starts: Mapping[TopicPartition, int], count: int, *, deadline: float) -> Watch:
        """Sample the last stable offsets until `count` records must be there and nothing has changed for a while."""
        watch = Watch(starts)
        async with asyncio.timeout(deadline):
            changed_at, before = time.monotonic(), starts
            while True:
                ends = await self.ends()
                now = time.monotonic()
                watch.samples.append((now, ends))
                if ends != before:
                    changed_at, before = now, ends
                # With transactions the commit markers have offsets, too: `count` may be passed before all are there.
                grown = sum(ends.values()) - sum(starts.values())
                if grown >= count and now - changed_at > SETTLED:
                    return watch
                await asyncio.sleep(SAMPLE)

    async def verify(
        self, starts: Mapping[TopicPartition, int], numbers: range, *, deadline: float
    ) -> Mapping[TopicPartition, int]:
        """Read from `starts` to the present end; return the offset of the last event in each partition.

        Raises:
            Incomplete: the events' numbers are not exactly these, each once.
        """
        found: Counter[int] = Counter()
        last: dict[TopicPartition, int] = {}
        ends = await self.ends()
        self._seek(starts)
        async with asyncio.timeout(deadline):
            for place, end in ends.items():
                while await self._consumer.position(place) < end:
                    for one, records in (await self._consumer.getmany(timeout_ms=500)).items():
                        found.update(_decode(record.value).original.number for record in records)
                        last[one] = records[-1].offset
        self._consumer.pause(*self._consumer.assignment())
        wrong = [number for number in numbers if found[number] != 1]
        if wrong or len(found) != len(numbers):
            raise Incomplete(f"{len(wrong)} of {len(numbers)} events are not there once, such as {wrong[:3]}")
        return last

    async def latencies(self, starts: Mapping[TopicPartition, int], count: int, *, deadline: float) -> list[float]:
        """Wait for `count` events; return the seconds that each took from the server's send until it was read here."""
        self._seek(starts)
        seconds: list[float] = []
        async with asyncio.timeout(deadline):
            while len(seconds) < count:
                fetched: dict[TopicPartition, list[Any]] = await self._consumer.getmany(timeout_ms=500)
                now = time.time()
                for records in fetched.values():
                    seconds += [now - _decode(record.value).original.sent_at / 1000 for record in records]
        self._consumer.pause(*self._consumer.assignment())
        return seconds

    def _seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        for place, offset in offsets.items():
            self._consumer.seek(place, offset)
        self._consumer.resume(*self._consumer.assignment())
