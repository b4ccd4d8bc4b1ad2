"""Without the ack extension, what has arrived is first in files of `state_dir`, and gets to Kafka from there."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from bridge.cometd import Batch, Event, HttpSession, Opening
from bridge.relay import InFlight, Relay
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit.relay_parts import ACCOUNT, OPTIONS, Crash, MortalPublisher, NoCredentials, of_type, references

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Dying:
    """A relay without acknowledgements, and with a state directory."""

    def __init__(self, directory: Path, publisher: MemoryPublisher) -> None:
        self.http = HttpSession("http://127.0.0.1:9", request_timeout=1)
        self.relay = Relay(OPTIONS, self.http, NoCredentials(), publisher, in_flight=InFlight(directory, ACCOUNT))

    async def __aenter__(self) -> Relay:
        await self.http.__aenter__()
        await self.relay.begin()
        return self.relay

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.__aexit__(kind, error, trace)


def without_acknowledgement(*numbers: int, session: str = "c", at: float = 1_700_000_000.0) -> Batch:
    return Batch(session, None, None, [Event("/v2/me/outbound", body(number)) for number in numbers], at)


def body(number: int) -> msgspec.Raw:
    return msgspec.Raw(b'{"messageType":"OutboundRecordMessage","referenceId":"%d"}' % number)


OPENING = Opening("c", resumed=False, ack_extension=False, reason="start")


async def relaying(relay: Relay) -> None:
    await relay.opened(OPENING)
    await relay.received(Batch("c", None, None, [], time.time()))


async def received(relay: Relay, batches: list[Batch]) -> None:
    for batch in batches:
        await relay.received(batch)


def files(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def weakness(relay: Relay) -> str | None:
    return relay.weakness


def sequences(kafka: MemoryKafka) -> list[bytes]:
    return [dict(record.headers)["ce_sequence"] for record in of_type(kafka, "acknowledgement")]


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("dies_in", range(1, 5))
async def test_what_has_arrived_survives_in_its_files(tmp_path: Path, dies_in: int, *, after_commit: bool) -> None:
    """Several batches that only this process has are published by the next, once each, in order, under their ids."""
    kafka = MemoryKafka()
    publisher = MortalPublisher(kafka, dies_in, after_commit=after_commit)
    batches = [without_acknowledgement(0, 1), without_acknowledgement(2), without_acknowledgement(3, 4, 5)]
    async with Dying(tmp_path, publisher) as relay:
        await relaying(relay)
        for batch in batches:
            await relay.arrived(batch)
        assert len(files(tmp_path)) == 3
        if dies_in < 4:
            with pytest.raises(Crash):
                await received(relay, batches)
    for _ in range(2):
        async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)):
            pass
    assert references(kafka) == ["0", "1", "2", "3", "4", "5"]
    assert sequences(kafka) == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert files(tmp_path) == []


async def test_a_batch_that_arrives_while_another_is_published(tmp_path: Path) -> None:
    """What arrives during a hold is numbered behind what is held, and gone from the disk once it is in Kafka."""
    kafka = MemoryKafka()
    async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)) as relay:
        await relaying(relay)
        first, second = without_acknowledgement(0, 1), without_acknowledgement(2)
        await relay.arrived(first)
        await relay.received(first)
        assert files(tmp_path) == []
        await relay.arrived(second)
        [kept] = await InFlight(tmp_path, ACCOUNT).names()
        batch = await InFlight(tmp_path, ACCOUNT).read(kept)
        assert batch is not None
        assert batch.first_sequence == 2
        await relay.received(second)
    assert sequences(kafka) == [b"0", b"1", b"2"]
    assert files(tmp_path) == []


async def test_what_arrived_for_a_session_that_nobody_goes_on_with(tmp_path: Path) -> None:
    """Batches of a session whose position never got to Kafka are published all the same, in transactions of a chunk."""
    kafka, store = MemoryKafka(), InFlight(tmp_path, ACCOUNT)
    await store.write("gone", 7, 1.0, [("/v2/me/outbound", bytes(body(number))) for number in range(4500)])
    async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)):
        pass
    assert references(kafka) == [str(number) for number in range(4500)]
    assert sequences(kafka) == [b"%d" % (7 + number) for number in range(4500)]
    assert await store.names() == []


async def test_a_file_that_says_more_than_kafka_knows(tmp_path: Path) -> None:
    """A file whose sequence lies ahead of the position, because one before it is missing, is published whole."""
    kafka = MemoryKafka()
    async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)) as relay:
        await relaying(relay)
    await InFlight(tmp_path, ACCOUNT).write("c", 1 << 53, 1.0, [("/x", bytes(body(number))) for number in range(3)])
    async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)):
        pass
    assert references(kafka) == ["0", "1", "2"]


@pytest.mark.parametrize("content", [b"", b"no batch", bytes(100)])
async def test_a_damaged_file_does_not_hide_the_others(tmp_path: Path, content: bytes) -> None:
    """A start passes over a damaged file, publishes the others, and relays."""
    kafka, store = MemoryKafka(), InFlight(tmp_path, ACCOUNT)
    name = await store.write("c", 0, 1.0, [])
    (tmp_path / name).write_bytes(content)
    await store.write("c", 0, 1.0, [("/x", bytes(body(1)))])
    async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)) as relay:
        await relaying(relay)
    assert references(kafka) == ["1"]


async def test_a_full_disk_does_not_stop_the_flow(tmp_path: Path) -> None:
    """Files that can't be written are a weaker guarantee, told until it is over, and no reason to lose a batch."""
    kafka, directory = MemoryKafka(), tmp_path / "state"
    async with Dying(directory, MemoryPublisher(kafka, ACCOUNT)) as relay:
        await relaying(relay)
        for number in range(3):
            batch = without_acknowledgement(number)
            await relay.arrived(batch)
            await relay.received(batch)
            assert weakness(relay) == "in-flight-unwritable"
        directory.mkdir()
        await relay.received(without_acknowledgement(3))
        assert weakness(relay) is None
        await relay.arrived(batch := without_acknowledgement(4))
        shutil.rmtree(directory)
        await relay.received(batch)
        assert weakness(relay) == "in-flight-unwritable"
    assert references(kafka) == ["0", "1", "2", "3", "4"]
    assert sequences(kafka) == [b"0", b"1", b"2", b"3", b"4"]
