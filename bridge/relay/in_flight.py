"""Files under `state_dir` with events that are not in Kafka yet, for servers without the ack extension."""

from __future__ import annotations

import asyncio
import base64
import math
import os
import re
import stat
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final, TypeVar, TypeVarTuple

import msgspec
import structlog

from bridge.disk import sync_directory
from bridge.errors import UNDECODABLE, InFlightUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = structlog.get_logger(__name__)

CHECKSUM_BYTES: Final = 4
LARGEST: Final = 1 << 30
"""Bytes. A longer file is not read into memory."""
OWNER_ONLY: Final = 0o600
_NEW: Final = ".new"
_DAMAGED: Final = ".damaged"
_TIME: Final = msgspec.Meta(ge=0, le=253402300799)
_SEQUENCE: Final = msgspec.Meta(ge=0, le=1 << 53)
T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class InFlightBatch(msgspec.Struct, frozen=True, rename="camel"):
    """The content of one file: a session's clientId, and events as pairs of channel and JSON data."""

    client_id: str
    first_sequence: Annotated[int, _SEQUENCE]
    received_at: Annotated[float, _TIME]
    """Seconds since the epoch."""
    events: list[tuple[str, bytes]]


class InFlight:
    """The files of one account under `directory`: one file per batch, numbered in the order of arrival.

    A file contains a CRC-32 and MessagePack. Each write is atomic (temporary file, fsync, rename, fsync of the
    directory). Only the owner may read a file, because it contains events. All file access runs in a thread. A file of
    more than `largest` bytes counts as damaged.
    """

    def __init__(self, directory: Path, account: str, *, largest: int = LARGEST) -> None:
        self._directory = directory
        # Account names may contain "." and upper case. Base32 gives each account a distinct file name nevertheless.
        name = base64.b32encode(account.encode()).decode().rstrip("=").lower()
        self._base = f"in-flight-{name}"
        # Until version 0.1 there was one file, without a number.
        self._own = re.compile(rf"{re.escape(self._base)}(?:-(\d{{1,18}}))?(\.\w+)?")
        self._largest = largest
        self._next: int | None = None

    async def write(
        self, client_id: str, first_sequence: int, received_at: float, events: Sequence[tuple[str, bytes]]
    ) -> str:
        """Write the batch to disk, and return the name of its file.

        Raises:
            InFlightUnwritable: the disk is full or read-only, or the directory does not exist.
        """
        content = msgspec.msgpack.encode(InFlightBatch(client_id, first_sequence, received_at, list(events)))
        return await self._in_thread(self._write, content)

    async def names(self) -> list[str]:
        """Return the names of the files that an earlier process left, oldest first.

        Raises:
            InFlightUnwritable: the directory can't be read.
        """
        return await self._in_thread(self._names)

    async def read(self, name: str) -> InFlightBatch | None:
        """Return the batch of a file. If the file is damaged, rename it to `*.damaged` and return None.

        Raises:
            InFlightUnwritable: the file can't be read or renamed.
        """
        content = await self._in_thread(self._read, name)
        if content is not None:
            body = content[CHECKSUM_BYTES:]
            if zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "big") == content[:CHECKSUM_BYTES]:
                with suppress(*UNDECODABLE):
                    batch = msgspec.msgpack.decode(body, type=InFlightBatch)
                    if math.isfinite(batch.received_at):
                        return batch
        log.warning("in-flight-damaged", file=name)
        await self._in_thread(self._set_aside, name)
        return None

    async def remove(self, name: str) -> None:
        """Delete the file of a batch that is in Kafka. A missing file is no error.

        Raises:
            InFlightUnwritable: the file can't be removed.
        """
        await self._in_thread(self._remove, name)

    async def _in_thread(self, step: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        try:
            return await asyncio.to_thread(step, *arguments)
        except OSError as error:
            raise _unusable(self._directory, error) from error

    def _write(self, content: bytes) -> str:
        if self._next is None:
            self._next = 1 + max((int(found[1] or 0) for found in self._found()), default=0)
        name = f"{self._base}-{self._next:012d}"
        self._next += 1
        temporary = self._directory / f"{name}{_NEW}"
        # O_EXCL and O_NOFOLLOW: never overwrite another user's file or the target of a link.
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, OWNER_ONLY)
        try:
            with os.fdopen(file, "wb") as target:
                target.write(zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "big"))
                target.write(content)
                target.flush()
                os.fsync(target.fileno())
            temporary.replace(self._directory / name)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_directory(self._directory)
        return name

    def _found(self) -> list[re.Match[str]]:
        return [found for path in self._directory.iterdir() if (found := self._own.fullmatch(path.name))]

    def _names(self) -> list[str]:
        for found in self._found():
            if found[2] == _NEW:  # a process died before the rename
                with suppress(OSError):
                    (self._directory / found[0]).unlink()
        whole = [found for found in self._found() if found[2] is None and self._is_ours(found[0])]
        return [found[0] for found in sorted(whole, key=lambda found: int(found[1] or 0))]

    def _is_ours(self, name: str) -> bool:
        """Return whether the bridge's user owns the file. The bridge must not publish another user's events."""
        user = os.geteuid()
        try:
            ours = user in {0, (self._directory / name).lstat().st_uid}
        except FileNotFoundError:
            return False
        if not ours:
            log.warning(
                "in-flight-foreign", file=name, effect="another user owns the file, so the bridge ignores its events"
            )
        return ours

    def _read(self, name: str) -> bytes | None:
        """Return a file's content, None if it is too long or no regular file (a link, a pipe, a directory)."""
        try:
            file = os.open(self._directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            if (self._directory / name).is_symlink():
                return None
            raise
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or status.st_size > self._largest:
                return None
            with os.fdopen(os.dup(file), "rb") as source:
                return source.read(self._largest + 1)
        finally:
            os.close(file)

    def _set_aside(self, name: str) -> None:
        (self._directory / name).replace(self._directory / f"{name}{_DAMAGED}")

    def _remove(self, name: str) -> None:
        (self._directory / name).unlink(missing_ok=True)
        sync_directory(self._directory)


def make_writable(directory: Path) -> None:
    """Create the directory (for its owner only) if it does not exist, and write a file there as a test.

    Raises:
        InFlightUnwritable: the directory can't be created, or the file can't be written.
    """
    probe = directory / f".probe-{os.getpid()}"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            probe.unlink()
        file = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, OWNER_ONLY)
        try:
            os.write(file, b"x")
            os.fsync(file)
        finally:
            os.close(file)
            probe.unlink()
    except OSError as error:
        raise _unusable(directory, error) from error


def is_open_to_others(directory: Path) -> bool:
    """Return whether every user of the machine may write to the directory, and so delete or rename its files."""
    try:
        return bool(directory.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False


def _unusable(directory: Path, error: OSError) -> InFlightUnwritable:
    return InFlightUnwritable(
        f"the in-flight files in {directory} can't be used: {error.strerror}; free or unlock the disk"
    )
