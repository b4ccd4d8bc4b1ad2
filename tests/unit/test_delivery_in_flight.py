"""The in-flight files."""

import errno
import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bridge.errors import InFlightUnwritable
from bridge.relay import InFlight, InFlightBatch, make_writable

EVENTS = [("/v2/me/outbound", b'{"a": 1}'), ("/me/internal", b""), ("/x", "é".encode())]
BATCH = InFlightBatch("client", 40, 1_700_000_000.5, EVENTS)


async def write(store: InFlight, batch: InFlightBatch = BATCH) -> str:
    return await store.write(batch.client_id, batch.first_sequence, batch.received_at, batch.events)


async def left(store: InFlight) -> list[InFlightBatch | None]:
    return [await store.read(name) for name in await store.names()]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def with_checksum(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "big") + body


async def test_a_written_batch_comes_back(tmp_path: Path) -> None:
    """What was written is read by another process, until it is removed."""
    assert await left(InFlight(tmp_path, "alice")) == []
    name = await write(InFlight(tmp_path, "alice"))
    assert await left(InFlight(tmp_path, "alice")) == [BATCH]
    await InFlight(tmp_path, "alice").remove(name)
    assert await left(InFlight(tmp_path, "alice")) == []
    assert files(tmp_path) == []


async def test_batches_come_back_in_order(tmp_path: Path) -> None:
    """Any number of batches is kept beside each other; they come back in the order of their writing, over processes."""
    batches = [InFlightBatch("client", number, 1.0, EVENTS) for number in range(12)]
    for batch in batches[:11]:
        await write(InFlight(tmp_path, "alice"), batch)
    store = InFlight(tmp_path, "alice")
    await write(store, batches[11])
    assert await left(store) == batches
    [first, second, *_] = await store.names()
    await store.remove(first)
    assert (await store.names())[0] == second


async def test_the_file_of_an_earlier_version_comes_first(tmp_path: Path) -> None:
    """The one file that an earlier version left is read before all others."""
    store = InFlight(tmp_path, "alice")
    name = await write(store)
    (tmp_path / name).rename(tmp_path / name.rpartition("-")[0])
    newer = InFlightBatch("client", 43, 2.0, [])
    await write(store, newer)
    assert await left(InFlight(tmp_path, "alice")) == [BATCH, newer]


async def test_removing_what_is_not_there_is_no_fault(tmp_path: Path) -> None:
    """remove() may be repeated."""
    store = InFlight(tmp_path, "alice")
    name = await write(store)
    for _ in range(2):
        await store.remove(name)


async def test_accounts_have_files_of_their_own(tmp_path: Path) -> None:
    """No two accounts share a file, whatever their names are."""
    accounts = ("a", "A", "a.b", "a.new", "..a", "a@b", "a-1")
    for number, account in enumerate(accounts):
        await write(InFlight(tmp_path, account), InFlightBatch("client", number, 1.0, []))
    for number, account in enumerate(accounts):
        assert await left(InFlight(tmp_path, account)) == [InFlightBatch("client", number, 1.0, [])]


async def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """A file holds customers' events: nobody else's business."""
    name = await write(InFlight(tmp_path, "alice"))
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda whole: whole[: len(whole) // 2],
    "short": lambda whole: whole[:3],
    "empty": lambda _: b"",
    "one bit": lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
    "another shape": lambda _: with_checksum(msgspec.msgpack.encode({"clientId": 7})),
    "no MessagePack": lambda _: with_checksum(b"\xc1"),
    "nesting": lambda _: with_checksum(b"\x91" * 100_000),
    "a length that lies": lambda _: with_checksum(b"\xdd\xff\xff\xff\xff"),
    "no time": lambda _: packed(received_at=math.nan),
    "a time that no calendar has": lambda _: packed(received_at=1e308),
    "a negative time": lambda _: packed(received_at=-1.0),
    "a negative sequence": lambda _: packed(first_sequence=-5),
    "a huge sequence": lambda _: packed(first_sequence=1 << 62),
    "no UTF-8": lambda _: with_checksum(msgspec.msgpack.encode(BATCH).replace(b"client", b"cli\xff\xfet", 1)),
    "too long": lambda whole: whole + bytes(2000),
}


def packed(*, first_sequence: int = 40, received_at: float = 1.0) -> bytes:
    return with_checksum(msgspec.msgpack.encode(InFlightBatch("client", first_sequence, received_at, EVENTS)))


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: str) -> None:
    """A file that was cut, changed or forged is no batch, and hides no other; it is kept for people to look at."""
    store = InFlight(tmp_path, "alice", largest=1000)
    name = await write(store)
    await write(store)
    content = DAMAGES[damage]((tmp_path / name).read_bytes())
    (tmp_path / name).write_bytes(content)
    assert await left(store) == [None, BATCH]
    assert not (tmp_path / name).exists()
    assert (tmp_path / f"{name}.damaged").read_bytes() == content
    assert await left(InFlight(tmp_path, "alice")) == [BATCH]


@pytest.mark.parametrize("kind", ["link", "broken link", "directory", "pipe"])
async def test_what_is_no_file_is_set_aside(tmp_path: Path, kind: str) -> None:
    """A link is not followed, a pipe not waited for, a directory not opened: all of them are moved out of the way."""
    store = InFlight(tmp_path, "alice")
    place = tmp_path / await write(store)
    other = place.rename(tmp_path / "elsewhere")
    if kind == "link":
        place.symlink_to(other)
    elif kind == "broken link":
        place.symlink_to(tmp_path / "nowhere")
    elif kind == "directory":
        place.mkdir()
    else:
        os.mkfifo(place)
    assert await left(store) == [None]
    assert await store.names() == []
    assert other.exists()


async def test_an_unfinished_write_is_no_batch(tmp_path: Path) -> None:
    """What a process left half written is removed by the next, and its number not used again."""
    store = InFlight(tmp_path, "alice")
    name = await write(store)
    number = int(name.rpartition("-")[2])
    (tmp_path / f"{name[:-1]}{number + 1}.new").write_bytes(b"half of a")
    heir = InFlight(tmp_path, "alice")
    assert await left(heir) == [BATCH]
    assert files(tmp_path) == [name]
    assert await write(heir) != name


async def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    """Where somebody put a link in the way, the file that it leads to stays as it is."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    store = InFlight(tmp_path, "alice")
    number = int((await write(store)).rpartition("-")[2])
    for suffix in (".new", ""):
        number += 1
        (tmp_path / f"in-flight-mfwgsy3f-{number:012d}{suffix}").symlink_to(victim)
        try:
            await write(store)
        except InFlightUnwritable:
            assert suffix == ".new"
    assert victim.read_text() == "precious"
    await write(store)


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.ELOOP, errno.EROFS, errno.EDQUOT])
async def test_a_disk_that_fails_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """Whatever call of the disk fails, it is InFlightUnwritable with the directory's name, and nothing is left over."""

    def fail(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    store = InFlight(tmp_path, "alice")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(InFlightUnwritable, match=f"{tmp_path.name} can't be used: {os.strerror(code)}"):
            await write(store)
        if call != "replace":
            with pytest.raises(InFlightUnwritable, match=tmp_path.name):
                make_writable(tmp_path)
    assert files(tmp_path) == []
    await write(store)
    assert await left(store) == [BATCH]


async def test_a_directory_that_is_none_is_reported(tmp_path: Path) -> None:
    """A directory that isn't there (any more), or is a file, gives InFlightUnwritable with its name."""
    (tmp_path / "file").touch()
    for directory in (tmp_path / "missing", tmp_path / "file"):
        for step in (write, left):
            with pytest.raises(InFlightUnwritable, match=directory.name):
                await step(InFlight(directory, "alice"))


def test_the_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """A state directory that is missing is made, with what leads to it; nothing is left in it."""
    directory = tmp_path / "var" / "state"
    for _ in range(2):
        make_writable(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert files(directory) == []


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the directory should be, or above it, is told with the directory's name."""
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(InFlightUnwritable, match=str(directory)):
            make_writable(directory)


async def test_a_file_of_another_user_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory that others may write, a file that somebody else put there brings no events."""
    name = await InFlight(tmp_path, "sales").write("client", 0, 1.0, [("/v2/me/x", b"{}")])
    assert await InFlight(tmp_path, "sales").names() == [name]
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert await InFlight(tmp_path, "sales").names() == []
