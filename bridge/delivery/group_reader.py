"""Reads a topic as a member of a consumer group, and commits the records that its caller reports as done."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError

from bridge.delivery.client.aiokafka_internals.groups import tolerate_odd_members
from bridge.delivery.client.connection import closed, connection, milliseconds
from bridge.delivery.client.consumer import FETCH_BYTES, PARTITION_BYTES, last_offsets
from bridge.delivery.client.failures import FAILURES, guarded
from bridge.delivery.client.topics import create_missing_topics, topic_name
from bridge.delivery.offsets import OffsetsInHand

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence

    from bridge.delivery.client.records import ConsumedRecord
    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

SESSION_TIMEOUT: Final = 10.0
"""Seconds without a heartbeat after which the broker gives the partitions of this member to others."""
HEARTBEAT: Final = 1.0
"""Seconds between two heartbeats, which aiokafka sends in a separate task, even while the partitions are paused."""
REBALANCE_TIMEOUT: Final = 20.0
"""Seconds that the broker waits in a rebalance until a member has let its partitions go. Longer than `let_go` takes."""
REQUEST_TIMEOUT: Final = REBALANCE_TIMEOUT + 5.0
"""Deadline for a request in seconds. A join is answered only at the end of a rebalance."""
COMMIT_TIMEOUT: Final = 5.0
END_DEADLINE: Final = 3.0
"""Seconds that a planned stop waits for the last commit. Later another member reads the records again."""
LEAVE_TIMEOUT: Final = 3.0
POLL_MS: Final = 200
MOST_AT_ONCE: Final = 100
"""Limit for the records of one fetch from aiokafka."""
_MOVED: Final = (CommitFailedError, IllegalStateError, RebalanceInProgressError)
"""Errors of a commit if another member has the partitions now. That member reads the uncommitted records again."""


class GroupReader(Protocol):
    """A member of a consumer group that reads one topic."""

    assignments: int
    """How many times the group has assigned partitions to this member."""

    async def poll(self, room: int) -> Sequence[ConsumedRecord]:
        """Return at most `room` of the next records. If `room` is 0, return none and pause the partitions.

        Raises:
            aiokafka.errors.KafkaError, OSError, TimeoutError: the topic can't be read.
        """
        ...

    def done(self, record: ConsumedRecord) -> None:
        """Allow the commit of a record that `poll` returned."""

    async def commit(self) -> None:
        """Commit, in each partition, all records before the first one that is not done.

        Raises:
            aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka did not take the offsets.
        """

    async def lag(self) -> int:
        """Return how many records of the assigned partitions are not done yet."""
        ...


class KafkaGroupReader(ConsumerRebalanceListener):  # type: ignore[misc]
    """The `GroupReader` on Kafka. `let_go` is awaited when a rebalance begins, before the last commit."""

    def __init__(self, client: AIOKafkaConsumer, let_go: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._let_go = let_go
        self._offsets = OffsetsInHand()
        self._held: list[ConsumedRecord] = []
        self.assignments = 0

    async def poll(self, room: int) -> Sequence[ConsumedRecord]:
        """See `GroupReader.poll`."""
        if not (room and self._held):
            await self._fetch(paused=not room)
        taken, self._held = self._held[:room], self._held[room:]
        return taken

    async def _fetch(self, *, paused: bool) -> None:
        """Add the next records to `_held`. While paused, these are only the records that are already fetched."""
        assigned = self._client.assignment()
        (self._client.pause if paused else self._client.resume)(*assigned)
        fetched = await self._client.getmany(timeout_ms=POLL_MS, max_records=MOST_AT_ONCE)
        for place, records in fetched.items():
            for record in records:
                self._offsets.begin(place, record.offset)
                self._held.append(record)

    def done(self, record: ConsumedRecord) -> None:
        """See `GroupReader.done`."""
        self._offsets.end(TopicPartition(record.topic, record.partition), record.offset)

    async def commit(self) -> None:
        """See `GroupReader.commit`."""
        due = {place: offset for place, offset in self._offsets.due().items() if place in self._client.assignment()}
        if not due:
            return
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT):
                await self._client.commit(due)
        except _MOVED as error:
            log.info("request-offsets-not-committed", reason=type(error).__name__)
        else:
            self._offsets.committed(due)

    async def lag(self) -> int:
        """See `GroupReader.lag`."""
        assigned = self._client.assignment()
        if not assigned:
            return 0
        async with asyncio.timeout(COMMIT_TIMEOUT):
            ends = await self._client.end_offsets(assigned)
            lag = 0
            for place in assigned:
                first = self._offsets.first(place)
                position = await self._client.position(place) if first is None else first
                lag += max(0, ends[place] - position)
        return lag

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish and commit as much as possible.

        A rebalance revokes all partitions, even if it then assigns them to the same member again. Until the next
        assignment `poll` waits, because aiokafka's `getmany` does.
        """
        del revoked
        await self.end()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Forget the records in hand, and continue reading at the committed offsets."""
        self._offsets = OffsetsInHand()
        self._held.clear()
        self.assignments += 1
        log.info("request-partitions", partitions=sorted(place.partition for place in assigned))

    async def end(self) -> None:
        """Let the owner of the records finish, and commit the records that are done."""
        self._held.clear()
        await self._let_go()
        with suppress(*FAILURES):
            await self.commit()


@asynccontextmanager
async def group_reader(
    settings: Kafka, topic: str, group: str, let_go: Callable[[], Awaitable[None]]
) -> AsyncGenerator[GroupReader, None]:
    """Yield a reader that joins the group.

    At the end of the block the reader commits the records that are done, and leaves the group. `topic` is the name
    without the prefix. A group without offsets begins with the first record.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached, or the topic is missing.
    """
    # The partitions are divided by aiokafka's default assignor (round robin). aiokafka's sticky assignor does not work.
    name = topic_name(settings, topic)
    if settings.create_topics:
        await create_missing_topics(settings, [topic])
    async with asyncio.timeout(settings.request_timeout):
        await last_offsets(settings, [name])  # a consumer that subscribes a missing topic waits without an error
    consumer: Any = AIOKafkaConsumer(
        **(connection(settings) | {"request_timeout_ms": milliseconds(REQUEST_TIMEOUT)}),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        check_crcs=settings.check_crcs,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_BYTES,
        session_timeout_ms=milliseconds(SESSION_TIMEOUT),
        heartbeat_interval_ms=milliseconds(HEARTBEAT),
        rebalance_timeout_ms=milliseconds(REBALANCE_TIMEOUT),
    )
    client: AIOKafkaConsumer = guarded(consumer)
    reader = KafkaGroupReader(client, let_go)
    try:
        async with asyncio.timeout(settings.request_timeout):
            await client.start()
        client.subscribe([name], listener=reader)
        yield reader
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(END_DEADLINE):
                await reader.end()
        await closed(client.stop(), LEAVE_TIMEOUT)


tolerate_odd_members()
