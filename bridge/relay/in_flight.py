"""Events that exist only here: kept in files until they are in Kafka, for servers without the ack extension."""

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

from bridge.errors import InFlightUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = structlog.get_logger(__name__)

CHECKSUM_BYTES: Final = 4
LARGEST: Final = 1 << 30
"""Bytes: nothing longer is read into memory."""
OWNER_ONLY: Final = 0o600
_NEW: Final = ".new"
_DAMAGED: Final = ".damaged"
_TIME: Final = msgspec.Meta(ge=0, le=253402300799)
_SEQUENCE: Final = msgspec.Meta(ge=0, le=1 << 53)
T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class InFlightBatch(msgspec.Struct, frozen=True, rename="camel"):
    """What arrived together: its session, and its events as (channel, JSON of the data)."""

    client_id: str
    first_sequence: Annotated[int, _SEQUENCE]
    received_at: Annotated[float, _TIME]
    """Seconds since the epoch."""
    events: list[tuple[str, bytes]]


class InFlight:
    """The batches of one account, each in a file of its own under `directory`, numbered as they came.

    A file is a CRC-32 and MessagePack; it is complete or it is not there (temporary file, fsync, rename, fsync of the
    directory). It holds events, so only its owner may read it. All file access is in a thread. `largest`: longer files
    count as damaged.
    """

    def __init__(self, directory: Path, account: str, *, largest: int = LARGEST) -> None:
        self._directory = directory
        # Accounts hold no separator, but "." and upper case are theirs to use: encode, so that names never meet.
        name = base64.b32encode(account.encode()).decode().rstrip("=").lower()
        self._base = f"in-flight-{name}"
        # One batch alone was in a file without a number until 0.1.
        self._own = re.compile(rf"{re.escape(self._base)}(?:-(\d{{1,18}}))?(\.\w+)?")
        self._largest = largest
        self._next: int | None = None

    async def write(
        self, client_id: str, first_sequence: int, received_at: float, events: Sequence[tuple[str, bytes]]
    ) -> str:
        """Return when the batch is on the disk: the name of its file.

        Raises:
            InFlightUnwritable: disk full, read-only, or no such directory.
        """
        content = msgspec.msgpack.encode(InFlightBatch(client_id, first_sequence, received_at, list(events)))
        return await self._in_thread(self._write, content)

    async def names(self) -> list[str]:
        """Return the files of batches that an earlier process did not finish, oldest first.

        Raises:
            InFlightUnwritable: the directory can't be read.
        """
        return await self._in_thread(self._names)

    async def read(self, name: str) -> InFlightBatch | None:
        """Return the batch of a file. A file that holds none is moved aside: then None.

        Raises:
            InFlightUnwritable: the file is there but can't be read, or not be moved.
        """
        content = await self._in_thread(self._read, name)
        if content is not None:
            body = content[CHECKSUM_BYTES:]
            if zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "big") == content[:CHECKSUM_BYTES]:
                with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    batch = msgspec.msgpack.decode(body, type=InFlightBatch)
                    if math.isfinite(batch.received_at):
                        return batch
        log.warning("in-flight-damaged", file=name)
        await self._in_thread(self._set_aside, name)
        return None

    async def remove(self, name: str) -> None:
        """Forget a batch: it is in Kafka. To repeat it is no fault.

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
        # Neither what somebody put there nor what a link leads to is ever written.
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
        _sync(self._directory)
        return name

    def _found(self) -> list[re.Match[str]]:
        return [found for path in self._directory.iterdir() if (found := self._own.fullmatch(path.name))]

    def _names(self) -> list[str]:
        for found in self._found():
            if found[2] == _NEW:  # a process died while it wrote
                with suppress(OSError):
                    (self._directory / found[0]).unlink()
        whole = [found for found in self._found() if found[2] is None and self._is_ours(found[0])]
        return [found[0] for found in sorted(whole, key=lambda found: int(found[1] or 0))]

    def _is_ours(self, name: str) -> bool:
        """Tell whether the bridge's user wrote the file: what another user put there must not be published."""
        user = os.geteuid()
        try:
            ours = user in {0, (self._directory / name).lstat().st_uid}
        except FileNotFoundError:
            return False
        if not ours:
            log.warning("in-flight-foreign", file=name, effect="another user wrote the file: its events are ignored")
        return ours

    def _read(self, name: str) -> bytes | None:
        """Return a file's content, None where it is none of ours: a link, a pipe, a directory, far too long."""
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
        _sync(self._directory)


def make_writable(directory: Path) -> None:
    """Make the directory, for its owner only, where there is none, and try whether files can be written there.

    Raises:
        InFlightUnwritable: they can't.
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
    """Tell whether every user of the machine may write there, and so remove or hide the files."""
    try:
        return bool(directory.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False


def _sync(directory: Path) -> None:
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _unusable(directory: Path, error: OSError) -> InFlightUnwritable:
    return InFlightUnwritable(
        f"the in-flight files in {directory} can't be used: {error.strerror}; free or unlock the disk"
    )
