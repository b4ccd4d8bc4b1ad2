"""Topics as they grow: waiting for a record takes no more work than reading it."""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from bridge.delivery import ConsumedRecord
from bridge.delivery.client.consumer import consumer
from bridge.settings import Kafka

if TYPE_CHECKING:
    from aiokafka import TopicPartition

_WAIT_MS = 500


class Follower:
    """Reads what is committed in the topics, once: a later reading begins where the one before it has stopped."""

    def __init__(self, settings: Kafka, topics: Sequence[str]) -> None:
        """`topics`: their names without the prefix."""
        self._settings = settings
        self._topics = [f"{settings.topic_prefix}.{topic}" for topic in topics]
        self._next: dict[TopicPartition, int] = {}

    async def read(self) -> AsyncGenerator[list[ConsumedRecord], None]:
        """Yield records as they come, those of a partition in their order; never end.

        Close the iterator (`contextlib.aclosing`).

        Raises:
            aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached.
        """
        async with consumer(self._settings, self._topics, "read_committed", wait_ms=_WAIT_MS) as client:
            for place in client.assignment():
                client.seek(place, self._next.get(place, 0))
            while True:
                for place, records in (await client.getmany(timeout_ms=_WAIT_MS)).items():
                    self._next[place] = records[-1].offset + 1
                    yield records
