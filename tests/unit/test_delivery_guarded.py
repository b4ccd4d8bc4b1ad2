"""Whose fault an unexpected error is: one of aiokafka's costs a client, one of ours ends the process."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka import errors as kafka
from aiokafka.protocol.types import Array, CompactString, Int8
from aiokafka.record.util import decode_varint_py
from pydantic import SecretStr

from bridge.delivery import AccountKeys, ConsumedRecord, Slots
from bridge.delivery.client import producer as producers
from bridge.delivery.client.batches import Batch
from bridge.delivery.client.failures import FAILURES, ClientFault, guarded, reason
from bridge.delivery.client.producer import await_acknowledgements
from bridge.delivery.ledger import follower
from bridge.delivery.ledger.follower import Follower
from bridge.delivery.position.reader import PositionReader
from bridge.settings import Kafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

SETTINGS = Kafka(bootstrap_servers="127.0.0.1:9", create_topics=False)
PLACE = TopicPartition("gws.operations.v1", 0)


class FaultyClient:
    """An aiokafka client that fails as its own states do."""

    plain = 7

    async def fetch(self, error: BaseException) -> None:
        raise error

    def look_up(self, error: BaseException) -> None:
        raise error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AssertionError("invalid transition"), "kafka failed: AssertionError"),
        (KeyError(3), "kafka failed: KeyError"),
        (kafka.IllegalOperation("not now"), "the transaction was fenced"),
    ],
)
async def test_a_fault_inside_aiokafka_counts_as_kafkas(error: Exception, told: str) -> None:
    """What aiokafka asserts or misses in its own tables is a failure of the client, however it was called."""
    client = guarded(FaultyClient())
    with pytest.raises(FAILURES) as waited:
        await client.fetch(error)
    with pytest.raises(ClientFault):
        client.look_up(error)
    assert reason(waited.value) == told
    assert client.plain == 7


@pytest.mark.parametrize("error", [kafka.NodeNotReadyError(), OSError(), ValueError(), asyncio.CancelledError()])
async def test_other_errors_pass_unchanged(error: BaseException) -> None:
    """Every other error of aiokafka's stays what it is."""
    with pytest.raises(type(error)):
        await guarded(FaultyClient()).fetch(error)


class ReadingClient:
    """A client that lets aiokafka's own code read what a broker has sent."""

    async def fetch(self, read: Callable[[Any], object], reply: object) -> None:
        read(reply)

    def look_up(self, read: Callable[[Any], object], reply: object) -> None:
        read(reply)


ODD_REPLIES = {
    "IndexError": (decode_varint_py, b"\xff"),
    # struct.error, out of which aiokafka makes a ValueError
    "error": (Int8.decode, io.BytesIO(b"")),
    "UnicodeDecodeError": (CompactString().decode, io.BytesIO(b"\x02\xff")),
    "AttributeError": (Array(Int8).decode, None),
}


@pytest.mark.parametrize("name", ODD_REPLIES)
async def test_odd_bytes_of_a_broker_cost_the_client(name: str) -> None:
    """Whatever aiokafka's code raises over bytes of a broker is a failure of the client, however it was called."""
    client = guarded(ReadingClient())
    with pytest.raises(FAILURES) as waited:
        await client.fetch(*ODD_REPLIES[name])
    with pytest.raises(ClientFault):
        client.look_up(*ODD_REPLIES[name])
    assert isinstance(waited.value, ClientFault)
    assert reason(waited.value) == f"kafka failed: {name}"


class OwnBytes:
    """Bytes of ours whose reading fails inside our own code."""

    def read(self, _: int) -> bytes:
        raise IndexError("ours")


async def test_a_bug_of_ours_below_aiokafka_passes_unchanged() -> None:
    """An error of our own code stays what it is, also where aiokafka has called that code."""
    with pytest.raises(IndexError, match="ours"):
        await guarded(ReadingClient()).fetch(CompactString().decode, OwnBytes())
    with pytest.raises(TypeError):
        guarded(ReadingClient()).look_up(decode_varint_py)  # type: ignore[call-arg]


async def test_a_fault_of_aiokafkas_sender_counts_as_kafkas() -> None:
    """What its background task leaves in a batch's future is its own fault as well."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(AssertionError())
    with pytest.raises(ClientFault):
        await await_acknowledgements([(Batch("t", 0, []), future)])


class OneRecord:
    """A consumer with one record; `getmany` fails first with `failures`."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)

    def assignment(self) -> set[TopicPartition]:
        return {PLACE}

    async def offsets_for_times(self, times: dict[TopicPartition, int]) -> dict[TopicPartition, None]:
        return dict.fromkeys(times)

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    def pause(self, *places: TopicPartition) -> None: ...

    def resume(self, *places: TopicPartition) -> None: ...

    def fetch_at_least(self, size: int) -> None: ...

    def seek(self, place: TopicPartition, offset: int) -> None: ...

    async def position(self, _: TopicPartition) -> int:
        return 0

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop()

        return {PLACE: [ConsumedRecord(PLACE.topic, PLACE.partition, 0, 0, b"1", {}, b"{}")]}


def reading(monkeypatch: pytest.MonkeyPatch, client: OneRecord) -> None:
    @asynccontextmanager
    async def consumer(*_: Any, **__: Any) -> AsyncIterator[OneRecord]:
        yield guarded(client)

    async def last_offsets(*_: Any) -> dict[TopicPartition, int]:
        return {PLACE: 1}

    monkeypatch.setattr(follower, "consumer", consumer)
    monkeypatch.setattr(follower, "last_offsets", last_offsets)


@pytest.mark.parametrize("bug", [KeyError("ours"), AssertionError("ours"), AttributeError(), ValueError()])
async def test_a_bug_behind_the_follower_ends_it(monkeypatch: pytest.MonkeyPatch, bug: Exception) -> None:
    """An error of the code that takes the values is never retried as an outage of Kafka."""

    async def take(_: Sequence[ConsumedRecord]) -> int | None:
        raise bug

    reading(monkeypatch, OneRecord())
    with pytest.raises(type(bug)):
        async with asyncio.timeout(30):
            await Follower(SETTINGS, "operations.v1").run(take, lambda: None)


@pytest.mark.parametrize("fault", [KeyError(1), AssertionError(), OSError(), kafka.NodeNotReadyError()])
async def test_a_fault_of_the_client_is_retried_by_the_follower(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """The same errors out of aiokafka cost a new client, and the values come."""
    came = asyncio.Event()

    async def take(_: Sequence[ConsumedRecord]) -> int | None:
        came.set()
        return None

    reading(monkeypatch, OneRecord(fault))
    run = asyncio.create_task(Follower(SETTINGS, "operations.v1").run(take, lambda: None))
    async with asyncio.timeout(30):
        await came.wait()
    run.cancel()
    await asyncio.wait([run])


@pytest.mark.parametrize("bug", [KeyError("ours"), AssertionError("ours")])
async def test_a_bug_in_the_publisher_ends_it(monkeypatch: pytest.MonkeyPatch, bug: Exception) -> None:
    """A publisher does not retry an error of its own code for ever."""

    async def fail(*_: Any, **__: Any) -> None:
        raise bug

    async def one_slot(_: Any) -> int:
        return 1

    publisher = Slots(SETTINGS).publisher(AccountKeys("alice", SecretStr("secret")))
    monkeypatch.setattr("bridge.delivery.slots.slots.count_slots", one_slot)
    monkeypatch.setattr(PositionReader, "read", fail)
    try:
        with pytest.raises(type(bug)):
            async with asyncio.timeout(30):
                await publisher.start()
    finally:
        await publisher.stop()


async def test_the_producer_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The producer that the bridge uses turns aiokafka's own assertions into failures of Kafka."""

    async def fail(*_: object, **__: object) -> None:
        raise AssertionError

    producer = producers.Producer(SETTINGS, None)
    monkeypatch.setattr(AIOKafkaProducer, "start", fail)
    try:
        with pytest.raises(ClientFault):
            await producer.start()
    finally:
        await producer.discard()
