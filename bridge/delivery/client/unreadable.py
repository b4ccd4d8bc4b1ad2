"""Makes consumers skip, count and log records that can't be read, so that such records never stop a reader.

aiokafka decodes a batch of records and raises the errors of its parser, for example if a header's name is not UTF-8.
aiokafka has no option to continue after such an error. aiokafka also has no limit for the decompressed size of a batch,
though 1 MiB of gzip can become 1 GiB of blanks. So `install` replaces aiokafka's reader of batches by
`ReadableRecords`.
"""

from __future__ import annotations

import time
import zlib
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import cramjam
import structlog

from bridge.delivery.client.aiokafka_internals.reading import TolerantRecords, replace_reading
from bridge.delivery.client.batches import MAX_VALUE
from bridge.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = structlog.get_logger(__name__)

LARGEST_BATCH: Final = MAX_VALUE + (1 << 20)
"""Limit for a decompressed batch in bytes. The bridge writes no record with a value of more than `MAX_VALUE` bytes."""
AT_ONCE: Final = 4 << 20
"""Bytes of a partition's records after which a reader ignores the rest of the fetch and fetches again."""
XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
XERIAL_HEADER_BYTES: Final = 16
MOST_BLOCKS: Final = LARGEST_BATCH // 1024
"""Limit for the blocks of a batch. Each block of snappy-java, except the last, has at least 1 KiB."""
TELL_INTERVAL: Final = 60.0
"""Shortest time between two log lines about the same topic, in seconds."""


class UnreadableRecords:
    """Counts the unreadable records of a topic, and logs them at most once a minute. `topic` is the full name."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._counter = metrics.records_unreadable.labels(topic)
        self._told_at = -TELL_INTERVAL
        self._since = 0

    def found(self, reason: str) -> None:
        """Count an unreadable record. `reason` is logged, so it must not quote the record."""
        self._counter.inc()
        self._since += 1
        now = time.monotonic()
        if now - self._told_at >= TELL_INTERVAL:
            log.warning("records-unreadable", topic=self._topic, records=self._since, reason=reason)
            self._told_at, self._since = now, 0


_topics: Final[dict[str, UnreadableRecords]] = {}


def unreadable_records(topic: str) -> UnreadableRecords:
    """Return the counter for a topic, which all readers of the topic share."""
    if topic not in _topics:
        _topics[topic] = UnreadableRecords(topic)
    return _topics[topic]


class TooLarge(Exception):
    """A batch decompresses to more than `LARGEST_BATCH`, or has more blocks than `MOST_BLOCKS`."""


class ReadableRecords(TolerantRecords):
    """The readable records of a partition in a fetch, up to about `AT_ONCE` bytes."""

    _room = AT_ONCE

    def passed_over(self, topic: str, error: Exception) -> None:
        """Count one unreadable record for a batch whose rest can't be read."""
        unreadable_records(topic).found(type(error).__name__)

    def __next__(self) -> Any:
        if self._room <= 0:
            raise StopIteration  # the position is behind the last record, and the next fetch begins there
        record = super().__next__()
        self._room -= len(record.value or b"") + len(record.key or b"")
        return record


def _gzip(payload: Any) -> bytes:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    plain = stream.decompress(payload, LARGEST_BATCH + 1)
    if len(plain) > LARGEST_BATCH:
        raise TooLarge
    if not stream.eof:
        raise EOFError
    return plain


def _zstd(payload: Any) -> bytearray:
    return _into(cramjam.zstd.decompress_into, payload)


def _lz4(payload: Any) -> bytearray:
    return _into(cramjam.lz4.decompress_into, payload)


def _into(decompress: Callable[[Any, bytearray], int], payload: Any) -> bytearray:
    """Decompress into a buffer of a fixed size, which is the only way to limit cramjam's output."""
    usual = min(LARGEST_BATCH, 4096 + 32 * len(payload))
    try:
        return _filled(decompress, payload, usual)
    except cramjam.DecompressionError:
        return _filled(decompress, payload, LARGEST_BATCH)


def _filled(decompress: Callable[[Any, bytearray], int], payload: Any, size: int) -> bytearray:
    buffer = bytearray(size)
    del buffer[decompress(payload, buffer) :]
    return buffer


def _snappy(payload: Any) -> bytes:
    blocks = list(islice(_snappy_blocks(memoryview(payload)), MOST_BLOCKS + 1))
    if len(blocks) > MOST_BLOCKS or sum(map(cramjam.snappy.decompress_raw_len, blocks)) > LARGEST_BATCH:
        raise TooLarge
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def _snappy_blocks(payload: memoryview) -> Iterator[memoryview]:
    """Yield the blocks of a payload with the framing of Java clients (xerial), or else the payload as one block."""
    if bytes(payload[: len(XERIAL_MAGIC)]) != XERIAL_MAGIC:
        yield payload
        return
    rest = payload[XERIAL_HEADER_BYTES:]
    while rest:
        size = int.from_bytes(rest[:4], "big")
        if not 0 < size <= len(rest) - 4:
            raise EOFError
        yield rest[4 : 4 + size]
        rest = rest[4 + size :]


def install() -> None:
    """Replace aiokafka's reader and decompressors by those of this module, for all consumers of the process."""
    replace_reading(
        ReadableRecords, {"gzip_decode": _gzip, "zstd_decode": _zstd, "lz4_decode": _lz4, "snappy_decode": _snappy}
    )
