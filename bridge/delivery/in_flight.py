"""The batch that exists only here: kept in a file while it is published, for servers without the ack extension."""

from __future__ import annotations

import asyncio
import base64
import os
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import structlog

from bridge.errors import InFlightUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = structlog.get_logger(__name__)

CHECKSUM_BYTES: Final = 4
T = TypeVar("T")


class InFlightBatch(msgspec.Struct, frozen=True, rename="camel"):
    """One CometD reply: its session, and its events as (channel, JSON of the data)."""

    client_id: str
    first_sequence: int
    received_at: float
    """Seconds since the epoch."""
    events: list[tuple[str, bytes]]


class InFlight:
    """At most one batch of one account, in one file under `directory`.

    The file is a CRC-32 and MessagePack; it is complete or it is not there (temporary file, fsync, rename, fsync of
    the directory). It holds events, so only its owner may read it. All file access is in a thread.
    """

    def __init__(self, directory: Path, account: str) -> None:
        # Accounts hold no separator, but "." and upper case are theirs to use: encode, so that names never meet.
        name = base64.b32encode(account.encode()).decode().rstrip("=").lower()
        self.path = directory / f"in-flight-{name}"
        self._temporary = self.path.with_suffix(".new")

    async def write(
        self, client_id: str, first_sequence: int, received_at: float, events: Sequence[tuple[str, bytes]]
    ) -> None:
        """Return when the batch is on the disk.

        Raises:
            InFlightUnwritable: disk full, read-only, or no such directory.
        """
        content = msgspec.msgpack.encode(InFlightBatch(client_id, first_sequence, received_at, list(events)))
        await self._in_thread(self._write, content)

    async def read(self) -> InFlightBatch | None:
        """The batch that an earlier process did not finish, None without one. A damaged file is moved aside.

        Raises:
            InFlightUnwritable: the file is there but can't be read.
        """
        content = await self._in_thread(self._read)
        if content is None:
            return None
        body = content[CHECKSUM_BYTES:]
        if zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "big") == content[:CHECKSUM_BYTES]:
            with suppress(msgspec.MsgspecError):
                return msgspec.msgpack.decode(body, type=InFlightBatch)
        log.warning("in-flight-damaged", file=self.path.name, size=len(content))
        await self._in_thread(self._set_aside)
        return None

    async def remove(self) -> None:
        """Forget the batch: it is in Kafka.

        Raises:
            InFlightUnwritable: the file can't be removed.
        """
        await self._in_thread(self._remove)

    async def _in_thread(self, step: Callable[..., T], *arguments: bytes) -> T:
        try:
            return await asyncio.to_thread(step, *arguments)
        except OSError as error:
            raise InFlightUnwritable(
                f"the in-flight file in {self.path.parent} can't be used: {error.strerror}; free or unlock the disk"
            ) from error

    def _write(self, content: bytes) -> None:
        file = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "wb") as target:
            target.write(zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "big"))
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        self._temporary.replace(self.path)
        self._sync_directory()

    def _read(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def _set_aside(self) -> None:
        self.path.replace(self.path.with_suffix(".damaged"))

    def _remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._sync_directory()

    def _sync_directory(self) -> None:
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
