"""Appends days to an archive. A day is complete when its manifest exists. An incomplete day is written again."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from aiokafka import TopicPartition

from bridge import __version__
from bridge.delivery import Period, RangeReader, note_archived, partition_counts, ranges_of, topic_names
from bridge.disk import sync_directory
from bridge.errors import CommandFailed, UnusableInput
from bridge.events import rfc3339
from bridge.evidence.archive.day import (
    DAY,
    FORMAT,
    KIND,
    MANIFEST,
    RECORDS,
    ArchivedPartition,
    Manifest,
    SignedManifest,
    days_in,
    digest_of,
    encode,
    manifest_of,
    signed_content,
    start_of,
    zstd,
)
from bridge.evidence.bundle import stored
from bridge.evidence.file.sign import NotSigned, Signer, opened

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
    from datetime import date
    from pathlib import Path
    from types import TracebackType

    from bridge.delivery import PartitionRange
    from bridge.settings import Kafka

CLOSED_AFTER: Final = 3600.0
"""Seconds from the end of a day until the day is archived. Records that reach Kafka after this are in
the next day's file."""

_NO_TIMES: Final = (
    "This Kafka does not find records by their time, so the bridge can't archive them by day. The embedded Kafka of "
    "bridge demo is such a Kafka; use a real one."
)


class Archiver:
    """Appends days to an archive.

    A new archive begins with the day `since`. An existing archive continues after its last day.
    """

    def __init__(
        self,
        settings: Kafka,
        directory: Path,
        signer: Signer,
        *,
        since: date,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._signer = signer
        self._since = since
        self._clock = clock

    async def run(self, progress: Callable[[int, int], None] = lambda _done, _total: None) -> AsyncGenerator[Manifest]:
        """Archive each day that is over, and yield its manifest.

        Raises:
            UnusableInput: the directory can't be used, another process archives there, or its last day was changed.
            CommandFailed: a file can't be written, or Kafka can't find records by time.
            KafkaUnavailable, aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be read.
        """
        with _only_one(self._directory):
            last = self._last()
            day = self._since if last is None else last.manifest.day + DAY
            while start_of(day + DAY) / 1000 + CLOSED_AFTER <= self._clock():
                last = await self._archive(day, last, progress)
                parts = last.manifest.partitions
                await note_archived(
                    self._settings, {TopicPartition(one.topic, one.partition): one.until for one in parts}
                )
                yield last.manifest
                day += DAY

    def _last(self) -> SignedManifest | None:
        days = days_in(self._directory)
        if not days:
            return None
        last = manifest_of(self._directory, days[-1])
        try:
            content, _ = opened(last.signature, KIND)
        except NotSigned as error:
            raise UnusableInput(f"the manifest of {days[-1]} can't be continued: {error}") from None
        if content != signed_content(last.manifest):
            raise UnusableInput(f"the manifest of {days[-1]} was changed, so it can't be continued")
        if last.manifest.topic_prefix != self._settings.topic_prefix:
            raise UnusableInput(f"{self._directory} is the archive of the topics {last.manifest.topic_prefix}.*")
        return last

    async def _archive(
        self, day: date, last: SignedManifest | None, progress: Callable[[int, int], None]
    ) -> SignedManifest:
        ranges = await self._ranges(day, last)
        reader = RangeReader(self._settings, ranges)
        path = self._directory / f"{day}{RECORDS}"
        partial = path.with_suffix(".partial")
        records, after = 0, start_of(day + DAY)
        with _DayFile(partial) as file:
            found = reader.records(lambda _topic, _key, _value: True, lambda: progress(reader.done, reader.total))
            async with aclosing(found):
                async for record in found:
                    if record.timestamp >= after:
                        raise CommandFailed(_NO_TIMES)
                    file.write(msgspec.json.encode(stored(record, "archive")) + b"\n")
                    records += 1
            size = file.finish()
        manifest = Manifest(
            format=FORMAT,
            day=day,
            made_at=rfc3339(self._clock()),
            bridge_version=__version__,
            topic_prefix=self._settings.topic_prefix,
            size=size,
            sha256=digest_of(partial),
            records=records,
            partitions=tuple(_part(reader, one) for one in ranges),
            previous=None if last is None else digest_of(self._directory / f"{last.manifest.day}{MANIFEST}"),
        )
        signed = SignedManifest(manifest=manifest, signature=self._signer.sign(signed_content(manifest)))
        with writing(path):
            partial.replace(path)
        _write(self._directory / f"{day}{MANIFEST}", encode(signed))
        return signed

    async def _ranges(self, day: date, last: SignedManifest | None) -> Sequence[PartitionRange]:
        """Return the offsets of each partition that belong to the day. They begin where the day before ended."""
        counts = await partition_counts(self._settings, topic_names(self._settings))
        period = Period(start_of(day), start_of(day + DAY) - 1)
        found = await ranges_of(self._settings, counts, dict.fromkeys(counts, period))
        ends = {} if last is None else {(one.topic, one.partition): one.until for one in last.manifest.partitions}
        ranges = []
        for one in found:
            start = max(one.first, ends.get((one.topic, one.partition), one.start if last is None else one.first))
            ranges.append(replace(one, start=start, end=max(start, one.end)))
        return ranges


class _DayFile:
    """Writes a compressed file.

    Errors of the file system become CommandFailed, so that callers can distinguish them from Kafka's errors.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with writing(path):
            self._file = path.open("wb")
            self._lines = zstd().open(self._file, "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, line: bytes) -> None:
        """Write a line."""
        with writing(self._path):
            self._lines.write(line)

    def finish(self) -> int:
        """Write the file to the disk completely, and return its size."""
        with writing(self._path):
            self._lines.close()
            if self._file.tell() == 0:  # without lines the compressor writes nothing
                self._file.write(zstd().compress(b""))
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise CommandFailed for an error of the file system."""
    try:
        yield
    except OSError as error:
        raise CommandFailed(f"{path} can't be written: {error.strerror}") from None


def _part(reader: RangeReader, one: PartitionRange) -> ArchivedPartition:
    return ArchivedPartition(
        topic=one.topic,
        partition=one.partition,
        partitions=one.partitions,
        first=one.first,
        since=one.start,
        until=reader.reached(one).end,
        records=reader.read(one.place),
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file in one step: after a crash the file has all of its content or does not exist."""
    partial = path.with_suffix(".partial")
    with writing(path):
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_directory(path.parent)


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Make the directory if it is missing, and lock it against other processes that archive there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock: Any = (directory / ".lock").open("wb")
    except OSError as error:
        raise UnusableInput(f"{directory} can't be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UnusableInput(f"another process writes the archive in {directory}") from None
        yield
