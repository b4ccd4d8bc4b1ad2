"""What an event costs on the way from the CometD reply to the socket of Kafka: CPU time in one process, no server.

`python -m benchmarks.event_path`: mixed traffic (acknowledgements and user events in turn, each of another record), in
replies of 3,000 events. The table has the fastest round of each stage.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from bridge.__main__ import collect_rarely
from bridge.cometd.messages.stream import MessageStream
from bridge.cometd.transport import PART, _Replies
from bridge.commands.process import freeze_objects, keep_freed_memory
from bridge.delivery import AccountKeys, Position
from bridge.delivery.client.producer import Producer
from bridge.delivery.position.stored import StoredPosition, seal_position
from bridge.delivery.slots.attempt import PublishAttempt
from bridge.delivery.slots.kafka_publisher import new_call
from bridge.delivery.slots.transaction import Transaction
from bridge.events import TOPICS
from bridge.operations.correlation import EARLY_AT_ONCE
from bridge.relay.translation import Translator
from bridge.settings import Kafka
from tests import page

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS: Final = 3000
"""Events of one reply, which is also what one transaction has."""
PARTITIONS: Final = dict.fromkeys(TOPICS, 6)
SETTINGS: Final = Kafka(bootstrap_servers="127.0.0.1:9")


class Loopback:
    """Stands for aiokafka's client: it makes each batch as for a broker, and acknowledges the batch at once."""

    def __init__(self) -> None:
        self._client = AIOKafkaProducer(bootstrap_servers="127.0.0.1:9", max_batch_size=900_000)

    def create_batch(self) -> Any:
        """See `AIOKafkaProducer.create_batch`."""
        return self._client.create_batch()

    async def send_batch(self, batch: Any, _: str, *, partition: int) -> asyncio.Future[int]:
        """Do the part of `AIOKafkaProducer.send_batch` that takes time: the header and the checksum."""
        batch.close()
        batch._set_producer_state(1, 0, 0)  # noqa: SLF001 -- as aiokafka's sender
        batch._build()  # noqa: SLF001 -- as aiokafka's sender
        sent: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        sent.set_result(partition)
        return sent

    async def stop(self) -> None:
        """See `AIOKafkaProducer.stop`."""
        await self._client.stop()


class Stages:
    """The CPU time of each stage in seconds: of each round so far."""

    def __init__(self) -> None:
        self.rounds: dict[str, list[float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the block."""
        began = time.process_time()
        yield
        self.rounds.setdefault(name, []).append(time.process_time() - began)


def reply(first: int) -> bytes:
    """Return the body of a reply to a poll: its events have the records from `first` on."""
    messages: list[dict[str, Any]] = []
    for number in range(first, first + EVENTS):
        sample = page.USER_EVENT if number % 2 else page.ACKNOWLEDGEMENT
        data = msgspec.json.decode(msgspec.json.encode(sample["data"]))
        if number % 2:
            data["userData"] |= {"GSW_RECORD_HANDLE": number, "GSW_PHONE": str(3_000_000 + number)}
        else:
            data["record"]["recordHandle"] = number
            data["referenceId"] = str(number)
        messages.append({"channel": sample["channel"], "data": data})
    messages.append({"channel": "/meta/connect", "id": "1", "successful": True, "ext": {"ack": 1}})
    return msgspec.json.encode(messages)


async def relay(body: bytes, translator: Translator, keys: AccountKeys, producer: Producer, stages: Stages) -> None:
    """Do what the bridge does with a reply, from its bytes to Kafka's batches."""
    with stages.stage("split the reply into messages"):
        stream = MessageStream(128 << 20)
        split = [stream.feed(body[at : at + PART]) for at in range(0, len(body), PART)]
        answers = _Replies([{"channel": "/meta/connect", "id": "1"}], print)
        events = [event for part in split for messages in part for event in answers.without(messages)]
        events += answers.without(stream.end())
    with stages.stage("translate messages into records"):
        translation = translator.translate(
            events, session="5f1d7a84db00d2fc", first_sequence=0, received_at=1.7e9, keep=EARLY_AT_ONCE
        )
    with stages.stage("seal the position, choose partitions"):
        stored = seal_position(POSITION, keys, StoredPosition(owner="bridge", turn=1, revision=1))
        attempt = PublishAttempt("agent", translation.records, stored, 0)
        transaction = Transaction([new_call("agent", attempt)])
        batches = [*transaction.batches(PARTITIONS, {}), *transaction.positions()]
    with stages.stage("write Kafka's record format"):
        for batch in batches:
            await producer.send(f"gws.{batch.topic}", batch, transaction.timestamp)


POSITION: Final = Position("1f2mkh3pxr9nmsn0", {"JSESSIONID": "node0", "BAYEUX_BROWSER": "b"}, 7, 0, EVENTS, 1.7e9)


async def measure(rounds: int) -> dict[str, float]:
    """Return the microseconds of CPU time for one event, by stage."""
    stages, translator, keys = Stages(), Translator("agent"), AccountKeys("agent", SecretStr("secret"))
    await keys.start("position")
    producer: Any = Producer(SETTINGS, None)
    aside, loopback = producer._client, Loopback()  # noqa: SLF001 -- only what goes to the broker is replaced
    producer._kafka = loopback  # noqa: SLF001
    replies = [reply(number * EVENTS) for number in range(rounds)]
    collect_rarely()
    freeze_objects()
    keep_freed_memory()
    for body in replies:
        await relay(body, translator, keys, producer, stages)
    await aside.stop()
    await loopback.stop()
    return {name: min(times) / EVENTS * 1e6 for name, times in stages.rounds.items()}


def main() -> None:
    """Measure, and print a line for each stage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.event_path", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    costs = asyncio.run(measure(parser.parse_args().rounds))
    print("µs of CPU time for each event:")
    for name, cost in {**costs, "together": sum(costs.values())}.items():
        print(f"{cost:6.2f}  {name}")


if __name__ == "__main__":
    main()
