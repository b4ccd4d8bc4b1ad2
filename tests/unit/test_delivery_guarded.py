"""Whose fault an AssertionError or a KeyError is: aiokafka's costs a client, one of ours ends the process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from aiokafka import errors as kafka
from pydantic import SecretStr

from bridge.delivery import AccountKeys, ConsumedRecord, Slots
from bridge.delivery.client import producer as producers
from bridge.delivery.client.batches import Batch
from bridge.delivery.client.failures import FAILURES, ClientFault, guarded, reason
from bridge.delivery.client.producer import await_acknowledgements
from bridge.delivery.ledger import follower
from bridge.delivery.ledger.follower import Follower
from bridge.delivery.slots.slot import Slot
from bridge.settings import Kafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

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
    "error", [AssertionError("invalid transition"), KeyError(3), kafka.IllegalOperation("not now")]
)
async def test_a_fault_inside_aiokafka_counts_as_kafkas(error: Exception) -> None:
    """What aiokafka asserts or misses in its own tables is a failure of the client, however it was called."""
    client = guarded(FaultyClient())
    with pytest.raises(FAILURES) as waited:
        await client.fetch(error)
    with pytest.raises(ClientFault):
        client.look_up(error)
    assert reason(waited.value) == f"kafka failed: {type(error).__name__}"
    assert client.plain == 7


@pytest.mark.parametrize("error", [kafka.NodeNotReadyError(), OSError(), ValueError(), asyncio.CancelledError()])
async def test_other_errors_pass_unchanged(error: BaseException) -> None:
    """Every other error of aiokafka's stays what it is."""
    with pytest.raises(type(error)):
        await guarded(FaultyClient()).fetch(error)


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

    async def seek_to_beginning(self, *places: TopicPartition) -> None: ...

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
        async with asyncio.timeout(5):
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
    async with asyncio.timeout(5):
        await came.wait()
    run.cancel()
    await asyncio.wait([run])


@pytest.mark.parametrize("bug", [KeyError("ours"), AssertionError("ours")])
async def test_a_bug_in_the_publisher_ends_it(monkeypatch: pytest.MonkeyPatch, bug: Exception) -> None:
    """A publisher does not retry an error of its own code for ever."""

    async def fail(_: Any) -> None:
        raise bug

    async def one_slot(_: Any) -> int:
        return 1

    publisher = Slots(SETTINGS, [AccountKeys("alice", SecretStr("secret"))]).publisher("alice")
    monkeypatch.setattr("bridge.delivery.slots.slots.count_slots", one_slot)
    monkeypatch.setattr(Slot, "_recover", fail)
    try:
        with pytest.raises(type(bug)):
            async with asyncio.timeout(5):
                await publisher.start()
    finally:
        await publisher.stop()


async def test_the_producer_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The producer that the bridge uses turns aiokafka's own assertions into failures of Kafka."""

    async def fail(*_: object, **__: object) -> None:
        raise AssertionError

    producer = producers.Producer(SETTINGS, None)
    monkeypatch.setattr(producer._client, "start", fail)
    try:
        with pytest.raises(ClientFault):
            await producer.start()
    finally:
        await producer.discard()
