"""The journal: durable where the caller waits, in order and bounded behind its back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from bridge.errors import KafkaUnavailable
from bridge.events import Record
from bridge.operations.ledger.journal import Journal
from tests.memory_kafka import MemoryKafka, MemoryLedger
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class SlowLedger(MemoryLedger):
    """Hangs after the broker has the records (the reply is lost), while `hangs` is set."""

    def __init__(self, kafka: MemoryKafka) -> None:
        super().__init__(kafka, "t")
        self.hangs = False
        self.writes = 0

    async def append(self, records: Sequence[Record]) -> None:
        self.writes += 1
        await super().append(records)
        if self.hangs:
            try:
                async with asyncio.timeout(0.2):
                    await asyncio.Event().wait()
            except TimeoutError:
                raise KafkaUnavailable("kafka does not answer in time") from None


def record(value: str, key: str = "k") -> Record:
    return Record("t", key.encode(), value.encode(), [])


@asynccontextmanager
async def running(journal: Journal) -> AsyncIterator[None]:
    task = asyncio.create_task(journal.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def values(kafka: MemoryKafka) -> list[str]:
    return [one.value.decode() for one in kafka.records]


async def test_way_to_kafka_is_found_at_the_start() -> None:
    """Before anybody waits for it the journal tries Kafka: where that is away the first promise is refused at once."""
    kafka = MemoryKafka()
    kafka.available.clear()
    journal = Journal(SlowLedger(kafka))
    async with running(journal):
        await eventually(lambda: not journal.available)
        with pytest.raises(KafkaUnavailable):
            async with asyncio.timeout(0.1):
                await journal.append(record("a"), otherwise=lambda: record("-"))
        kafka.available.set()
        await eventually(lambda: journal.available)
    assert kafka.records == []


async def test_appended_is_durable_on_return() -> None:
    """When append returns, the record is in Kafka."""
    kafka = MemoryKafka()
    journal = Journal(MemoryLedger(kafka, "t"))
    async with running(journal):
        await journal.append(record("a"), otherwise=lambda: record("-"))
        assert values(kafka) == ["a"]


async def test_noted_comes_in_order_after_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was noted while Kafka was away is written when it is back, in order; what came first is kept."""
    monkeypatch.setattr("bridge.operations.ledger.journal.ROOM", 5)
    kafka = MemoryKafka()
    journal = Journal(MemoryLedger(kafka, "t"))
    async with running(journal):
        kafka.available.clear()
        for number in range(7):
            journal.note(record(str(number)))
        await eventually(lambda: not journal.available)
        kafka.available.set()
        await eventually(lambda: journal.available)
        await journal.settled(b"k")
        assert values(kafka) == ["0", "1", "2", "3", "4"]


async def test_append_fails_at_once_while_kafka_is_away() -> None:
    """While Kafka is known to be away a caller is not kept waiting, and its record never comes."""
    kafka = MemoryKafka()
    journal = Journal(MemoryLedger(kafka, "t"))
    async with running(journal):
        kafka.available.clear()
        journal.note(record("noted"))
        await eventually(lambda: not journal.available)
        async with asyncio.timeout(30):
            with pytest.raises(KafkaUnavailable):
                await journal.append(record("a"), otherwise=lambda: record("-"))
        kafka.available.set()
        await journal.settled(b"k")
        assert values(kafka) == ["noted"]


async def test_unknown_outcome_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that Kafka may have, though the caller was told that it has not, is followed by its revocation."""
    monkeypatch.setattr("bridge.operations.ledger.journal.APPEND_DEADLINE", 0.1)
    kafka = MemoryKafka()
    ledger = SlowLedger(kafka)
    journal = Journal(ledger)
    async with running(journal):
        ledger.hangs = True
        with pytest.raises(KafkaUnavailable):
            await journal.append(record("a"), otherwise=lambda: record("taken back"))
        ledger.hangs = False
        await journal.settled(b"k")
        assert values(kafka)[-1] == "taken back"
        assert values(kafka).count("taken back") == 1


async def test_settled_waits_for_the_key_alone() -> None:
    """A key with nothing on its way is settled at once, another one when its last record has landed."""
    kafka = MemoryKafka()
    journal = Journal(MemoryLedger(kafka, "t"))
    journal.note(record("a", "busy"))
    journal.note(record("b", "busy"))
    async with asyncio.timeout(30):
        await journal.settled(b"quiet")
    busy = asyncio.ensure_future(journal.settled(b"busy"))
    await asyncio.sleep(0)
    assert not busy.done()
    async with running(journal), asyncio.timeout(30):
        await busy
        assert values(kafka) == ["a", "b"]


async def test_planned_stop_writes_what_is_left() -> None:
    """Events that are on their way when the bridge stops are written first."""
    kafka = MemoryKafka()
    journal = Journal(MemoryLedger(kafka, "t"))
    async with running(journal):
        await asyncio.sleep(0)
        journal.note(record("a"))
    assert values(kafka) == ["a"]


async def test_much_is_written_together() -> None:
    """What has gathered is written in few requests."""
    kafka = MemoryKafka()
    ledger = SlowLedger(kafka)
    journal = Journal(ledger)
    for number in range(400):
        journal.note(record(str(number)))
    async with running(journal):
        await journal.settled(b"k")
    assert len(kafka.records) == 400
    assert ledger.writes == 1


async def test_bytes_of_waiting_events_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """While Kafka is away large events are lost beyond a number of bytes, and there is room again once it is back."""
    monkeypatch.setattr("bridge.operations.ledger.journal.ROOM_BYTES", 100_000)
    kafka = MemoryKafka()
    journal = Journal(MemoryLedger(kafka, "t"))

    async def outage(last: str) -> None:
        kafka.available.clear()
        for _ in range(20):
            journal.note(record("x" * 20_000))
        await eventually(lambda: not journal.available)
        kafka.available.set()
        await eventually(lambda: journal.available)
        journal.note(record(last))
        await eventually(lambda: values(kafka)[-1:] == [last])

    async with running(journal):
        await outage("y" * 20_000)
        assert len(kafka.records) == 5
        await outage("z" * 20_000)
        assert len(kafka.records) == 10
