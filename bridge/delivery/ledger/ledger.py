"""A topic that this process writes and reads. It holds the life of the operations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

from bridge.delivery.client.partition import partition_of
from bridge.delivery.client.topics import topic_name
from bridge.delivery.ledger.appender import Appender
from bridge.delivery.ledger.follower import Follower
from bridge.events import JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery.ledger.follower import Take
    from bridge.events import Encoding, Record
    from bridge.settings import Kafka


class Place(NamedTuple):
    """Where a record lies in Kafka; `topic` is the whole name, `partition` None where it is not known."""

    topic: str
    partition: int | None


class Ledger(Protocol):
    """Appends to Kafka without a transaction, and follows one topic."""

    topic: str
    """The whole name of the topic that it follows."""

    async def append(self, records: Sequence[Record]) -> None:
        """Return once the records are durable, in order. Used by one task at a time.

        Raises:
            KafkaUnavailable: not within a deadline; some may be there nevertheless.
        """

    async def follow(self, take: Take, caught_up: Callable[[], None]) -> None:
        """Hand over the topic's records, old and new, for ever; call `caught_up` at what is now the end.

        `take` returns the index of the first record that it wants again after `rewind`, None where it wants none.
        """

    async def catch_up(self) -> None:
        """Return once `follow` has handed over all that the topic has at this moment.

        Raises:
            KafkaUnavailable: not within a deadline.
        """

    def rewind(self) -> None:
        """Have `follow` go on from the first values that are wanted again, and call `caught_up` again."""

    def place(self, topic: str, key: str) -> Place:
        """Tell where the record of a topic (without the prefix) with that key lies."""
        ...

    async def stop(self) -> None:
        """Release the connections, within a few seconds."""


class KafkaLedger:
    """The `Ledger` of the real thing; `topic` is the one to follow, `placed` those that `place` can tell of.

    What is older than `age` (s) at the start it need not hand over.
    """

    def __init__(
        self,
        settings: Kafka,
        topic: str,
        placed: Sequence[str] = (),
        encoding: Encoding = JSON,
        *,
        age: float = math.inf,
    ) -> None:
        self.topic = topic_name(settings, topic)
        self._settings = settings
        self._appender = Appender(settings, encoding)
        self._follower = Follower(settings, topic, age)
        self._partitions: dict[str, int] = {}
        self._unplaced = list(placed)

    async def append(self, records: Sequence[Record]) -> None:
        """See `Ledger.append`."""
        await self._appender.append(records)
        while self._unplaced:
            self._partitions[self._unplaced[-1]] = await self._appender.partitions(self._unplaced[-1])
            self._unplaced.pop()

    async def follow(self, take: Take, caught_up: Callable[[], None]) -> None:
        """See `Ledger.follow`."""
        await self._follower.run(take, caught_up)

    async def catch_up(self) -> None:
        """See `Ledger.catch_up`."""
        await self._follower.catch_up()

    def rewind(self) -> None:
        """See `Ledger.rewind`."""
        self._follower.rewind()

    def place(self, topic: str, key: str) -> Place:
        """See `Ledger.place`."""
        count = self._partitions.get(topic)
        return Place(topic_name(self._settings, topic), None if count is None else partition_of(key.encode(), count))

    async def stop(self) -> None:
        """See `Ledger.stop`."""
        await self._appender.stop()
