"""A topic prefix of the test's own, on any broker."""

import uuid
from contextlib import aclosing
from typing import Any

from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from bridge.delivery import AccountKeys, Slots, UnsignedEvents, connection, position_topic, read
from bridge.delivery.client.partition import partition_of
from bridge.delivery.slots.kafka_publisher import KafkaPublisher
from bridge.settings import Kafka
from tests.behaviour.publisher import Published


class KafkaCluster:
    def __init__(self, bootstrap: str, **settings: Any) -> None:
        values: dict[str, Any] = {"topic_prefix": f"t{uuid.uuid4().hex[:12]}", "request_timeout": 3} | settings
        self.settings = Kafka(bootstrap_servers=bootstrap, **values)
        self.password = SecretStr("secret")
        self.too_large = 9 << 20
        self.refused = 9 << 20
        """Bytes of a value that the broker itself refuses, where it refuses any."""
        self.partitions: int | None = self.settings.partitions
        self._publishers: list[KafkaPublisher] = []

    def publisher(
        self, account: str = "alice", password: str = "secret", unsigned: UnsignedEvents | None = None, **changes: Any
    ) -> KafkaPublisher:
        settings = self.settings.model_copy(update=changes)
        publisher = Slots(settings).publisher(AccountKeys(account, SecretStr(password)), unsigned)
        self._publishers.append(publisher)
        return publisher

    def process(self, *accounts: str, password: str = "secret", **changes: Any) -> list[KafkaPublisher]:
        """Return the publishers of one process with several accounts, not started."""
        settings = self.settings.model_copy(update=changes)
        slots = Slots(settings)
        publishers = [slots.publisher(AccountKeys(account, SecretStr(password))) for account in accounts]
        self._publishers += publishers
        return publishers

    async def published(self, isolation: Any = "read_committed") -> list[Published]:
        prefix = f"{self.settings.topic_prefix}."
        settings = self.settings.model_copy(update={"request_timeout": 15})
        records = read(settings, from_beginning=True, until_end=True, isolation=isolation)
        async with aclosing(records) as all_of_them:
            return [
                Published(one.topic.removeprefix(prefix), one.partition, one.key or b"", one.value or b"")
                async for one in all_of_them
            ]

    async def newest_position(self, account: str) -> bytes:
        """Read the last record that lies there as the account's position."""
        records = read(self.settings, [position_topic(self.settings)], from_beginning=True, until_end=True)
        async with aclosing(records) as all_of_them:
            return [one.value or b"" async for one in all_of_them if one.key == account.encode()][-1]

    async def put_position(self, account: str, value: bytes | None) -> None:
        """Write what a foreign hand might write as the account's position."""
        topic, key = position_topic(self.settings), account.encode()
        producer = AIOKafkaProducer(**connection(self.settings))
        await producer.start()
        try:
            partition = partition_of(key, len(await producer.partitions_for(topic)))
            await producer.send_and_wait(topic, value, key=key, partition=partition)
        finally:
            await producer.stop()

    async def stop(self) -> None:
        for publisher in self._publishers:
            await publisher.stop()
