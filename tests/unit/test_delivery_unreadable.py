"""Batches of records as brokers hand them over: one that can't be read is passed over, and none fills the memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.codec import snappy_encode
from aiokafka.record import default_records
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from prometheus_client import REGISTRY

from bridge.delivery.client.unreadable import AT_ONCE, LARGEST_BATCH, ReadableRecords, TooLarge

PLACE = TopicPartition("gws.operations.v1", 0)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def batch(first: int, *values: bytes, codec: str = "none", header: bytes = b"name") -> bytes:
    """A batch whose first record has the offset `first`."""
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], False, -1, -1, -1, 1 << 30)  # noqa: FBT003 -- by position only
    for offset, value in enumerate(values):
        builder.append(offset, timestamp=0, key=None, value=value, headers=[("name", b"1")])
    built = bytearray(builder.build())
    built[0:8] = first.to_bytes(8, "big")
    return bytes(built).replace(b"name", header)


def read(*batches: bytes, start: int = 0) -> tuple[list[Any], int]:
    """The records that a consumer gets, and where its next fetch begins."""
    arguments: list[Any] = [[], start, None, None, False, 0]
    records = ReadableRecords(PLACE, MemoryRecords(b"".join(batches)), *arguments)
    return list(records), records.next_fetch_offset


def counted() -> float:
    return REGISTRY.get_sample_value("bridge_records_unreadable_total", {"topic": PLACE.topic}) or 0.0


@pytest.mark.parametrize("codec", CODECS)
def test_readable_batches_come_whole(codec: str) -> None:
    """Whatever their codec, records come in order, with their offsets."""
    records, following = read(batch(0, b"a", b"b" * 100_000, codec=codec), batch(2, b"c", codec=codec))
    assert [(one.offset, len(one.value)) for one in records] == [(0, 1), (1, 100_000), (2, 1)]
    assert following == 3


def test_batch_that_cannot_be_parsed_is_passed_over() -> None:
    """A header's name that is not UTF-8 costs its own batch; what lies around it comes."""
    before = counted()
    records, following = read(batch(0, b"a"), batch(1, b"b", b"c", header=b"\xff\xfe\xfd\xfc"), batch(3, b"d"))
    assert [one.value for one in records] == [b"a", b"d"]
    assert following == 4
    assert counted() == before + 1


@pytest.mark.parametrize("codec", ["gzip", "zstd", "lz4", "snappy"])
def test_batch_that_grows_too_large_is_passed_over(codec: str) -> None:
    """A batch of 60 MB of blanks costs no more memory than the largest batch that may be read."""
    blanks = batch(0, b" " * 60_000_000, codec=codec)
    before = counted()
    tracemalloc.start()
    try:
        records, following = read(blanks, batch(1, b"a"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [one.value for one in records] == [b"a"]
    assert following == 2
    assert counted() == before + 1
    assert peak < 40_000_000


@pytest.mark.parametrize("codec", ["gzip", "zstd", "lz4", "snappy"])
def test_damaged_batch_is_passed_over(codec: str) -> None:
    """Bytes that the codec refuses are no reason to stop."""
    damaged = bytearray(batch(0, b"abc" * 1000, codec=codec))
    damaged[70:80] = b"\xff" * 10
    records, following = read(bytes(damaged), batch(1, b"a"))
    assert [one.value for one in records] == [b"a"]
    assert following == 2


def test_one_fetch_hands_over_a_bounded_part() -> None:
    """What a fetch decompresses to comes in parts: the next fetch begins behind the last record."""
    batches = [batch(number, b" " * 3_000_000, codec="gzip") for number in range(5)]
    records, following = read(*batches)
    assert sum(len(one.value) for one in records) <= AT_ONCE + 3_000_000
    assert following == records[-1].offset + 1 == len(records) < 5


def test_snappy_without_framing_is_bounded_too() -> None:
    """Snappy as librdkafka writes it, in one block, is read, and costs no more than it may."""
    assert default_records.snappy_decode(bytes(cramjam.snappy.compress_raw(b"a" * 1000))) == b"a" * 1000
    blanks = bytes(cramjam.snappy.compress_raw(b" " * 60_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            default_records.snappy_decode(blanks)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("size", [-8, 0, 3, 1 << 30])
def test_snappy_block_of_an_impossible_size_is_refused(size: int) -> None:
    """A block's size that leads backwards, nowhere, or past the end of the batch is damage."""
    framing = bytes(snappy_encode(b"a" * 100))[:16]
    with pytest.raises((EOFError, cramjam.DecompressionError)):
        default_records.snappy_decode(framing + size.to_bytes(4, "big", signed=True) + b"\x00\x00\x00\x00")


@pytest.mark.parametrize("block", [b"\x00", b"\x01\x00a"])
def test_snappy_in_countless_blocks_is_refused(block: bytes) -> None:
    """A million blocks that hold next to nothing are refused before they cost memory: brokers take such a batch."""
    framing = bytes(snappy_encode(b"a" * 100))
    countless = framing + (len(block).to_bytes(4, "big") + block) * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            default_records.snappy_decode(countless)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_snappy_in_the_smallest_blocks_of_javas_clients_is_read() -> None:
    """The largest batch comes whole also where a client was set to the smallest blocks there are."""
    largest = b"a" * LARGEST_BATCH
    assert default_records.snappy_decode(snappy_encode(largest, xerial_blocksize=1024)) == largest
