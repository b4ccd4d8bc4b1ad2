"""Creates and deletes topics. Kafka answers when its controller knows a change, a moment before the broker knows it."""

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bridge.delivery import create_missing_topics, wanted_topics
from bridge.settings import Kafka
from tests.waiting import eventually


class KafkaAdmin(AIOKafkaAdminClient):  # type: ignore[misc] # aiokafka has no types
    """An admin client that returns when the broker has followed."""

    async def create_topics(self, new_topics: Iterable[NewTopic], **options: Any) -> Any:
        """Create topics, and wait until the broker serves them."""
        topics = list(new_topics)
        answer = await super().create_topics(topics, **options)
        await self.until_served(topic.name for topic in topics)
        return answer

    async def delete_topics(self, topics: Iterable[str], **options: Any) -> Any:
        """Delete topics, and wait until the broker has none of them."""
        names = set(topics)
        answer = await super().delete_topics(list(names), **options)

        async def gone() -> bool:
            return names.isdisjoint(await self.list_topics())

        await eventually(gone)
        return answer

    async def until_served(self, topics: Iterable[str]) -> None:
        """Wait until the broker knows the topics, and each partition has a leader."""
        names = set(topics)

        async def served() -> bool:
            found = [topic for topic in await self.describe_topics() if topic["topic"] in names]
            partitions = [one for topic in found for one in topic["partitions"]]
            return len(found) == len(names) and all(one["leader"] >= 0 for one in partitions)

        await eventually(served)


@asynccontextmanager
async def kafka_admin(bootstrap: str) -> AsyncIterator[KafkaAdmin]:
    """A connected admin client."""
    admin = KafkaAdmin(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create_bridge_topics(settings: Kafka, reads: Collection[str] = ()) -> None:
    """Create the bridge's topics as a bridge does, and wait until the broker serves them."""
    await create_missing_topics(settings, reads)
    async with kafka_admin(settings.bootstrap_servers) as admin:
        await admin.until_served(topic.name for topic in wanted_topics(settings, reads))
