"""The real Kafka behaves as the tests that build on it assume."""

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from tests.real import RealKafka, StartFailed, kafka_admin, require_real_parts


async def new_topic(kafka: RealKafka) -> str:
    topic = f"real-parts-{uuid.uuid4().hex}"
    async with kafka_admin(kafka.bootstrap) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    return topic


async def send(kafka: RealKafka, topic: str, value: bytes) -> None:
    async with asyncio.timeout(30), AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def values(kafka: RealKafka, topic: str, count: int) -> list[bytes]:
    """The first `count` records of the topic."""
    found: list[bytes] = []
    async with asyncio.timeout(30), AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        while len(found) < count:
            found.append((await consumer.getone()).value)
    return found


async def test_data_survives_kill_and_restart(own_kafka: RealKafka) -> None:
    """A record that was acknowledged is there again, at the same address, after kill -9 and a restart."""
    topic, address = await new_topic(own_kafka), own_kafka.bootstrap
    await send(own_kafka, topic, b"before")
    await own_kafka.kill()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    await own_kafka.restart()
    await send(own_kafka, topic, b"after")
    assert own_kafka.bootstrap == address
    assert await values(own_kafka, topic, 2) == [b"before", b"after"]


async def test_a_paused_broker_answers_nothing_until_it_is_resumed(own_kafka: RealKafka) -> None:
    """While the broker is paused a send stays unanswered; after resume the same send succeeds, once."""
    topic = await new_topic(own_kafka)
    await send(own_kafka, topic, b"first")
    async with AIOKafkaProducer(bootstrap_servers=own_kafka.bootstrap, enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, b"second")
        await own_kafka.pause()
        try:
            sent = await producer.send(topic, b"third")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(sent), 1)
        finally:
            await own_kafka.resume()
        await asyncio.wait_for(sent, 30)
    assert await values(own_kafka, topic, 3) == [b"first", b"second", b"third"]


async def test_a_failed_start_shows_why() -> None:
    """A broker that can't start raises StartFailed with the reason from its own output, here StorageTool's."""
    require_real_parts()
    kafka = RealKafka(properties={"process.roles": "spectator"}, scram=["SCRAM-SHA-256=[name=a,password=b]"])
    with pytest.raises(StartFailed, match="spectator"):
        await kafka.start()
