"""What a ledger promises, whatever Kafka stands behind it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bridge.delivery import ConsumedRecord, Ledger
from bridge.events import Record
from tests.waiting import eventually

TOPIC = "operations.v1"


def record(value: str, key: str = "k", topic: str = TOPIC) -> Record:
    return Record(topic, key.encode(), value.encode(), [("ce_id", value[:8].encode())])


class Reader:
    """What one follower has got."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.records: list[ConsumedRecord] = []
        self.at_the_end: list[str] | None = None
        """What it had when it was told that it is at the end."""
        self.wanted_again: str | None = None

    async def take(self, records: Sequence[ConsumedRecord]) -> int | None:
        self.records += records
        fresh = [(record.value or b"").decode() for record in records]
        self.values += fresh
        return fresh.index(self.wanted_again) if self.wanted_again in fresh else None

    def caught_up(self) -> None:
        assert self.at_the_end is None, "told twice"
        self.at_the_end = list(self.values)


@asynccontextmanager
async def following(ledger: Ledger) -> AsyncIterator[Reader]:
    reader = Reader()
    task = asyncio.create_task(ledger.follow(reader.take, reader.caught_up))
    try:
        await eventually(lambda: reader.at_the_end is not None, within=30)
        yield reader
    finally:
        task.cancel()
        await asyncio.wait([task])


class LedgerBehaviour:
    """Inherited for each kind of Kafka, which overrides the fixture `ledgers`: two of them on one cluster."""

    async def test_what_was_there_is_read_before_the_end_is_told(self, ledgers: list[Ledger]) -> None:
        """A follower that starts later has everything that was there when it hears that it is at the end."""
        writer, other = ledgers
        written = [str(number) for number in range(300)]
        await writer.append([record(value) for value in written])
        async with following(other) as reader:
            assert reader.at_the_end == written

    async def test_what_comes_later_follows_in_order(self, ledgers: list[Ledger]) -> None:
        """Later records come as well, those of a key in order, whichever process wrote them."""
        writer, other = ledgers
        await writer.append([record("first")])
        async with following(writer) as own, following(other) as others:
            for number in range(5):
                await writer.append([record(f"a{number}", "a"), record(f"b{number}", "b")])
            for reader in (own, others):
                await eventually(lambda reader=reader: len(reader.values) == 11)  # type: ignore[misc]
                for key in "ab":
                    assert [one for one in reader.values if one[0] == key] == [f"{key}{n}" for n in range(5)]

    async def test_catch_up_waits_for_what_is_there(self, ledgers: list[Ledger]) -> None:
        """When it returns, the follower has been handed over all that was in the topic at the call."""
        writer, other = ledgers
        await writer.append([record("first")])
        async with following(other) as reader:
            await other.catch_up()
            for turn in range(3):
                await writer.append([record(f"{turn}-{number}", str(number)) for number in range(50)])
                await other.catch_up()
                assert len(reader.values) == 1 + 50 * (turn + 1)

    async def test_rewind_hands_over_again_from_what_is_wanted(self, ledgers: list[Ledger]) -> None:
        """After a rewind come the values from the first wanted one on, the end once more, and then what is new."""
        writer, other = ledgers
        await writer.append([record(str(number)) for number in range(10)])
        reader = Reader()
        reader.wanted_again = "7"
        task = asyncio.create_task(other.follow(reader.take, reader.caught_up))
        try:
            await eventually(lambda: reader.at_the_end is not None, within=30)
            reader.at_the_end, reader.wanted_again = None, None
            other.rewind()
            await eventually(lambda: reader.at_the_end is not None, within=30)
            assert reader.values == [*(str(number) for number in range(10)), "7", "8", "9"]
            await writer.append([record("10")])
            await eventually(lambda: reader.values[-1] == "10", within=30)
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def test_records_come_whole(self, ledgers: list[Ledger]) -> None:
        """A follower gets key, headers and place of each record, which its signature may depend on."""
        writer, other = ledgers
        await writer.append([record("a", "k"), record("b", "k")])
        async with following(other) as reader:
            first, second = reader.records
            assert (first.key, first.value, dict(first.headers)) == (b"k", b"a", {"ce_id": b"a"})
            assert (second.partition, second.offset) == (first.partition, first.offset + 1)

    async def test_place_is_where_the_record_lies(self, ledgers: list[Ledger]) -> None:
        """Once something was appended, the place of a key's record can be told."""
        writer, _ = ledgers
        await writer.append([record("a")])
        place = writer.place("acknowledgements.v1", "134/Campaign1/13")
        assert place.topic.endswith("acknowledgements.v1")
        assert place.partition is not None
        assert place.partition >= 0

    async def test_stopped_ledger_can_go_on(self, ledgers: list[Ledger]) -> None:
        """Stop releases what is held; the next append works all the same."""
        writer, other = ledgers
        await writer.append([record("a")])
        await writer.stop()
        await writer.append([record("b")])
        async with following(other) as reader:
            assert reader.values == ["a", "b"]
