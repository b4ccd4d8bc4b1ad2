"""Reads a topic from the beginning, and then waits for new records until cancelled. It retries while Kafka is away."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from bridge.delivery.client.consumer import consumer, last_offsets, unread
from bridge.delivery.client.failures import DENIED, FAILURES, reason
from bridge.delivery.client.topics import create_missing_topics, topic_name
from bridge.errors import KafkaUnavailable
from bridge.pacing import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from aiokafka import TopicPartition

    from bridge.delivery.client.aiokafka_internals.reading import Consumer
    from bridge.delivery.client.records import ConsumedRecord
    from bridge.settings import Kafka

    Take: TypeAlias = Callable[[Sequence[ConsumedRecord]], Awaitable[int | None]]
    """Receives records. Returns the index of the record at which to continue after a `rewind`, or None."""

log = structlog.get_logger(__name__)

POLL_MS: Final = 250
LEAST_BYTES: Final = 1 << 16
"""A fetch waits for this many bytes, but not longer than `POLL_MS`. Otherwise each record would need a separate
fetch."""
LINGER: Final = 0.02
"""Seconds between two fetches of a prompt follower, while records arrive. More fetches would cost processor time."""
DENIALS: Final = 4
"""Number of successive denials after which the topic counts as missing. The first denials may only mean that the topic
is just being created."""
STANDSTILL: Final = 5.0
"""Seconds without a record after which the topic counts as read to its end. The open transaction of a dead bridge
may hide the end until Kafka aborts the transaction, which takes up to a minute."""


class Follower:
    """Follows a topic and reads its committed records. `topic` is the name without the prefix.

    Records that are older than `age` seconds at the start may be skipped. The follower receives a new record
    after at most `POLL_MS`, or with `prompt` after at most `LINGER`. `hurry` ends the wait of a prompt follower.
    """

    def __init__(self, settings: Kafka, topic: str, age: float = math.inf, *, prompt: bool = False) -> None:
        self._settings = settings
        self._age = age
        self._prompt = prompt
        self._topic = topic_name(settings, topic)
        self._next: dict[TopicPartition, int] = {}
        self._caught_up = False
        self._again: dict[TopicPartition, int] = {}
        """The offsets at which to continue after a rewind."""
        self._rewound = False
        self._client: Consumer | None = None
        self._hurry = asyncio.Event()
        self._handed_over = asyncio.Event()
        """Set whenever `take` has received all fetched records."""
        self.failing: str | None = None
        """Why the topic can't be read now, None if it can."""

    async def run(self, take: Take, caught_up: Callable[[], None]) -> None:
        """Pass the records to `take`, in order within each partition. The method never returns.

        The method calls `caught_up` after all records that existed at the start. If the topic doesn't exist or may not
        be read, the method calls `caught_up` after a few attempts and continues to try. After an outage, reading
        continues at the same offset, so no record is passed twice.
        """
        backoff = Backoff(cap=2.0)
        logged: str | None = None
        denials = 0
        while True:
            try:
                await self._follow(take, caught_up)
            except FAILURES as error:
                self.failing = reason(error)
                if self.failing != logged:
                    logged = self.failing
                    log.warning("topic-unreadable", topic=self._topic, reason=logged)
                denials = denials + 1 if isinstance(error, DENIED) else 0
                if denials == DENIALS and not self._caught_up:
                    self._caught_up = True
                    caught_up()
            else:  # rewound
                backoff = Backoff(cap=2.0)
            await asyncio.sleep(backoff.next_delay())

    def rewind(self) -> None:
        """Make `run` go back to the records whose index `take` has returned, and call `caught_up` again."""
        self._rewound = True

    def hurry(self) -> None:
        """Make a prompt follower fetch the next records at once."""
        self._hurry.set()

    async def catch_up(self) -> None:
        """Wait until `take` has received all records that the topic contains now. `run` must be running.

        Raises:
            KafkaUnavailable: this took longer than `request_timeout`, or Kafka failed.
        """
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                ends = await last_offsets(self._settings, [self._topic])
                behind = True
                while behind:
                    behind = self._client is None or bool(await unread(self._client, ends))
                    self._handed_over.clear()  # `unread` counts records as read before `take` has them
                    await self._handed_over.wait()
        except FAILURES as error:
            raise KafkaUnavailable(reason(error)) from None

    async def _follow(self, take: Take, caught_up: Callable[[], None]) -> None:
        if self._rewound:
            self._rewound = self._caught_up = False
            self._next |= self._again
            self._again.clear()
        if self._settings.create_topics and not self._next:
            # No consumer makes a broker create the topic, so it must exist before the first request.
            await create_missing_topics(self._settings)
        ends = {} if self._caught_up else await last_offsets(self._settings, [self._topic])
        async with consumer(self._settings, [self._topic], "read_committed", wait_ms=POLL_MS) as client:
            places = client.assignment()
            client.pause(*places)  # a fetch at a broker would delay the requests for offsets
            await self._seek(client)
            client.resume(*places)
            self._client = client
            try:
                if not self._caught_up:
                    await self._read_to_end(client, ends, take)
                if not self._caught_up and not self._rewound:
                    self._caught_up = True
                    caught_up()
                if not self._prompt:
                    client.fetch_at_least(LEAST_BYTES)
                while not self._rewound:
                    if await self._pass_on(client, take) and self._prompt:
                        await self._linger()
            finally:
                self._client = None

    async def _read_to_end(self, client: Consumer, ends: Mapping[TopicPartition, int], take: Take) -> None:
        """Read all records before the offsets `ends`.

        Each fetch returns as soon as it has any record, because the start of the bridge waits.
        """
        loop = asyncio.get_running_loop()
        moved_at = loop.time()
        while not self._rewound and await unread(client, ends) and loop.time() - moved_at <= STANDSTILL:
            if await self._pass_on(client, take):
                moved_at = loop.time()

    async def _pass_on(self, client: Consumer, take: Take) -> bool:
        """Wait up to `POLL_MS` for records, and pass them to `take`. Return whether records arrived."""
        fetched = await client.getmany(timeout_ms=POLL_MS)
        self.failing = None
        for place, records in fetched.items():
            told = [record for record in records if record.value is not None]
            again = await take(told)
            if again is not None:
                self._again.setdefault(place, told[again].offset)
            self._next[place] = records[-1].offset + 1
        self._handed_over.set()
        return bool(fetched)

    async def _linger(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._hurry.wait()
        self._hurry.clear()

    async def _seek(self, client: Consumer) -> None:
        """Continue at the last offset, or begin with the first record that is not older than `age`."""
        oldest = int(max(0.0, time.time() - self._age) * 1000)
        fresh = [place for place in client.assignment() if place not in self._next]
        young = await client.offsets_for_times(dict.fromkeys(fresh, oldest)) if fresh else {}
        # No record is young enough, or the broker can't search by time (librdkafka's mock cluster).
        unknown = [place for place in fresh if young[place] is None]
        first = await client.beginning_offsets(unknown) if unknown else {}
        for place in client.assignment():
            if place in self._next:
                client.seek(place, self._next[place])
            else:
                client.seek(place, first[place] if place in first else young[place].offset)
