"""The ledger is the operations topic. This process appends events, and reads the events of all processes."""

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
    """The place of a record in Kafka. `topic` is the full name. `partition` is None if it is unknown."""

    topic: str
    partition: int | None


class Ledger(Protocol):
    """Appends records to Kafka without a transaction, and follows a topic."""

    topic: str
    """The full name of the followed topic."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append records, and return once they are durable. Only one task at a time may call this method.

        Raises:
            KafkaUnavailable: the records were not durable within a deadline. Some may be in Kafka nevertheless.
        """

    async def follow(self, take: Take, caught_up: Callable[[], None]) -> None:
        """Pass the topic's records to `take` until cancelled. Call `caught_up` after all records that exist now.

        `take` returns the index of a record, or None. After a `rewind` the reading continues at this record.
        """

    async def catch_up(self) -> None:
        """Wait until `follow` has passed on all records that the topic contains now.

        Raises:
            KafkaUnavailable: this took longer than a deadline.
        """

    def rewind(self) -> None:
        """Make `follow` go back to the records whose index `take` has returned, and call `caught_up` again."""

    def place(self, topic: str, key: str) -> Place:
        """Return the topic and partition of records with this key. `topic` is the name without the prefix."""
        ...

    async def stop(self) -> None:
        """Close the connections, within a few seconds."""


class KafkaLedger:
    """The `Ledger` on Kafka, which follows `topic`. `place` returns a partition only for the topics in `placed`.

    Records that are older than `age` seconds at the start may be skipped. With `prompt`, `take` gets the records of
    this process at once, and those of other processes soon. Without `prompt` a record may wait for a quarter of a
    second.
    """

    def __init__(
        self,
        settings: Kafka,
        topic: str,
        placed: Sequence[str] = (),
        encoding: Encoding = JSON,
        *,
        age: float = math.inf,
        prompt: bool = False,
    ) -> None:
        self.topic = topic_name(settings, topic)
        self._settings = settings
        self._appender = Appender(settings, encoding)
        self._follower = Follower(settings, topic, age, prompt=prompt)
        self._partitions: dict[str, int] = {}
        self._unplaced = list(placed)

    async def append(self, records: Sequence[Record]) -> None:
        """See `Ledger.append`."""
        await self._appender.append(records)
        self._follower.hurry()
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
