"""Reads what is in a topic and goes on for ever, across every outage of Kafka."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog
from aiokafka.errors import UnknownTopicOrPartitionError

from bridge.backoff import Backoff
from bridge.delivery.client.consumer import consumer, last_offsets, unread
from bridge.delivery.client.failures import DENIED, FAILURES, reason
from bridge.delivery.client.topics import create_missing_topics, topic_name
from bridge.delivery.reader import consumed
from bridge.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aiokafka import AIOKafkaConsumer, TopicPartition

    from bridge.delivery.reader import ConsumedRecord
    from bridge.settings import Kafka

    Take: TypeAlias = Callable[[Sequence[ConsumedRecord]], Awaitable[int | None]]
    """Takes records; returns the index of the first one that it wants again after a rewind, None without one."""

log = structlog.get_logger(__name__)

POLL_MS: Final = 250
LEAST_BYTES: Final = 1 << 16
"""Of one fetch, unless `POLL_MS` are over: a fetch for each record would cost more than what it brings."""
DENIALS: Final = 4
"""In a row, until the topic counts as not there: one that is just being created is, a moment later."""
STANDSTILL: Final = 5.0
"""Seconds without a record after which the topic counts as read: the end may lie behind a transaction of a bridge that
is gone, which the coordinator aborts only after a minute."""


class Follower:
    """One topic, named without the prefix; consumers that read committed records see the same.

    What is older than `age` (s) when it starts it may leave out.
    """

    def __init__(self, settings: Kafka, topic: str, age: float = math.inf) -> None:
        self._settings = settings
        self._age = age
        self._topic = topic_name(settings, topic)
        self._next: dict[TopicPartition, int] = {}
        self._caught_up = False
        self._again: dict[TopicPartition, int] = {}
        """The offsets to go on from after a rewind."""
        self._rewound = False
        self._client: AIOKafkaConsumer | None = None
        self._handed_over = asyncio.Event()
        """Set each time that all which was fetched is handed over."""

    async def run(self, take: Take, caught_up: Callable[[], None]) -> None:
        """Hand over the records, in order within each partition; call `caught_up` at what was the end at the start.

        Never returns. After an outage it goes on where it was, so no record comes twice. A topic that doesn't exist, or
        may not be read, has nothing to wait for: then `caught_up` comes after a few attempts, and records if ever.
        """
        backoff = Backoff(cap=2.0)
        failing: str | None = None
        denials = 0
        while True:
            try:
                await self._follow(take, caught_up)
            except FAILURES as error:
                self._client = None
                if reason(error) != failing:
                    failing = reason(error)
                    log.warning("topic-unreadable", topic=self._topic, reason=failing)
                denials = denials + 1 if isinstance(error, DENIED) else 0
                if denials == DENIALS and not self._caught_up:
                    self._caught_up = True
                    caught_up()
            else:  # rewound
                self._client = None
                backoff = Backoff(cap=2.0)
            await asyncio.sleep(backoff.next_delay())

    def rewind(self) -> None:
        """Have `run` go on from the first values that are wanted again, and call `caught_up` again."""
        self._rewound = True

    async def catch_up(self) -> None:
        """Return once all that the topic has at this moment is handed over, while `run` runs.

        Raises:
            KafkaUnavailable: not within a deadline.
        """
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                ends = await last_offsets(self._settings, [self._topic])
                behind = True
                while behind:
                    behind = self._client is None or bool(await unread(self._client, ends))
                    self._handed_over.clear()  # the position moves before the last records are handed over
                    await self._handed_over.wait()
        except FAILURES as error:
            raise KafkaUnavailable(reason(error)) from None

    async def _follow(self, take: Take, caught_up: Callable[[], None]) -> None:
        if self._rewound:
            self._rewound = self._caught_up = False
            self._next |= self._again
            self._again.clear()
        if self._settings.create_topics and not self._next:
            # Before any consumer asks for it: a broker that creates topics by itself makes them with its own settings.
            await create_missing_topics(self._settings)
        ends = {} if self._caught_up else await last_offsets(self._settings, [self._topic])
        async with consumer(
            self._settings, [self._topic], "read_committed", wait_ms=POLL_MS, least_bytes=LEAST_BYTES
        ) as client:
            if not client.assignment():
                raise UnknownTopicOrPartitionError(self._topic)  # it would be looked for only every five minutes
            await self._seek(client)
            self._client = client
            loop = asyncio.get_running_loop()
            moved_at = loop.time()
            while not self._rewound:
                if not self._caught_up and (not await unread(client, ends) or loop.time() - moved_at > STANDSTILL):
                    self._caught_up = True
                    caught_up()
                fetched = await client.getmany(timeout_ms=POLL_MS)
                for place, records in fetched.items():
                    told = [consumed(record) for record in records if record.value is not None]
                    again = await take(told)
                    if again is not None:
                        self._again.setdefault(place, told[again].offset)
                    self._next[place] = records[-1].offset + 1
                    moved_at = loop.time()
                self._handed_over.set()

    async def _seek(self, client: AIOKafkaConsumer) -> None:
        """Go on where it was, or begin with the first record that is young enough."""
        oldest = int(max(0.0, time.time() - self._age) * 1000)
        fresh = [place for place in client.assignment() if place not in self._next]
        young = await client.offsets_for_times(dict.fromkeys(fresh, oldest)) if fresh else {}
        for place in client.assignment():
            if place in self._next:
                client.seek(place, self._next[place])
            elif young[place] is not None:
                client.seek(place, young[place].offset)
            else:  # nothing is that young, or the broker can't tell: librdkafka's mock cluster never can
                await client.seek_to_beginning(place)
