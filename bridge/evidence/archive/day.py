"""The files of a day: `DAY.jsonl.zst` with the records, and `DAY.manifest.json`, which is signed.

Each line of the first file is a record (JSON, as in a bundle). A manifest has the digest of this file and the digest of
the manifest of the day before. So a changed, removed or added day breaks the chain.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridge.delivery import ConsumedRecord
from bridge.errors import UNDECODABLE, SettingsError, UnusableInput, installation_of
from bridge.evidence.bundle import StoredRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

FORMAT: Final = "bridge-evidence-archive/1"
KIND: Final = "bridge-evidence-archive"
RECORDS: Final = ".jsonl.zst"
MANIFEST: Final = ".manifest.json"
DAY: Final = timedelta(days=1)


class ArchivedPartition(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The offsets of a partition that belong to a day: from `since` to the offset before `until`.

    `topic` is the full name.
    """

    topic: str
    partition: int
    partitions: int
    first: int
    """The oldest offset that Kafka still had when the day was archived. If it is greater than `until` of the day
    before, Kafka had deleted records that were not archived yet."""
    since: int
    until: int
    records: int


class Manifest(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The description of one day of the archive."""

    format: str
    day: date
    made_at: str
    bridge_version: str
    topic_prefix: str
    size: int
    """Bytes of the file with the records, compressed."""
    sha256: str
    """SHA-256 of these bytes, in hexadecimal."""
    records: int
    partitions: tuple[ArchivedPartition, ...]
    previous: str | None
    """SHA-256 of the file with the manifest of the day before, in hexadecimal. None for the first day."""


class SignedManifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A manifest with its signature, as its file contains them."""

    manifest: Manifest
    signature: str
    """A JSON Web Signature (RFC 7515, compact) over the digest of the manifest."""


def days_in(directory: Path) -> list[date]:
    """Return the days that have a manifest, the oldest first.

    Raises:
        UnusableInput: the directory can't be read.
    """
    try:
        names = [path.name.removesuffix(MANIFEST) for path in directory.iterdir() if path.name.endswith(MANIFEST)]
    except OSError as error:
        raise UnusableInput(f"{directory} can't be read: {error.strerror}") from None
    try:
        return sorted(map(date.fromisoformat, names))
    except ValueError:
        raise UnusableInput(f"{directory} has a manifest whose name is no day") from None


def signed_content(manifest: Manifest) -> dict[str, Any]:
    """Return the content of a manifest's signature."""
    return {"digest": hashlib.sha256(msgspec.json.encode(manifest)).hexdigest(), "day": manifest.day.isoformat()}


def encode(one: SignedManifest) -> bytes:
    """Return the bytes of a manifest's file."""
    return msgspec.json.encode(one) + b"\n"


def decode(content: bytes) -> SignedManifest:
    """Return the manifest in a file.

    Raises:
        ValueError: the content is not a manifest, or is not formatted exactly as the bridge writes it.
    """
    one = msgspec.json.decode(content, type=SignedManifest)
    if encode(one) != content:
        raise ValueError("it is not in the form that the bridge writes")
    if one.manifest.format != FORMAT:
        raise ValueError(f"its version {one.manifest.format!r} is not known")
    return one


def manifest_of(directory: Path, day: date) -> SignedManifest:
    """Return the manifest of a day.

    Raises:
        UnusableInput: the file can't be read, or was changed.
    """
    path = directory / f"{day}{MANIFEST}"
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise UnusableInput(f"{path} can't be read: {error.strerror}") from None
    except UNDECODABLE as error:
        raise UnusableInput(f"{path} is not a manifest: {error}") from None


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def records_in(path: Path) -> Iterator[StoredRecord]:
    """Yield the records of a day.

    Raises:
        OSError, EOFError, ValueError, zstd.ZstdError: the file can't be read, or was changed.
    """
    decoder = msgspec.json.Decoder(StoredRecord)
    with zstd().open(path, "rb") as file:
        for line in file:
            yield decoder.decode(line)


def consumed(one: StoredRecord) -> ConsumedRecord:
    """Return an archived record in the form in which a Kafka consumer returns it."""
    at = datetime.fromisoformat(one.timestamp).timestamp() if one.timestamp.endswith("Z") else int(one.timestamp) / 1000
    return ConsumedRecord(
        one.topic,
        one.partition,
        one.offset,
        round(at * 1000),
        None if one.key is None else base64.b64decode(one.key),
        {name: base64.b64decode(value) for name, value in one.headers},
        None if one.value is None else base64.b64decode(one.value),
    )


def start_of(day: date) -> int:
    """Return the beginning of a day (UTC), in ms since the epoch."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def zstd() -> ModuleType:
    """Return the module `compression.zstd`, from Python 3.14 or from its backport for earlier versions.

    Raises:
        SettingsError: the extra `evidence` is not installed.
    """
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd as module  # noqa: PLC0415 -- needs the extra
        else:
            from backports import zstd as module  # noqa: PLC0415 -- needs the extra
    except ModuleNotFoundError:
        raise SettingsError([f"An archive needs the extra `evidence`; {installation_of('evidence')}"]) from None
    return module
