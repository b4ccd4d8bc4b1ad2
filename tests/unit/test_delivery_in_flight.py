"""The in-flight file."""

import os
from pathlib import Path

import pytest

from bridge.delivery import InFlight, InFlightBatch
from bridge.errors import InFlightUnwritable

EVENTS = [("/v2/me/outbound", b'{"a": 1}'), ("/me/internal", b""), ("/x", "é".encode())]
BATCH = InFlightBatch("client", 40, 1_700_000_000.5, EVENTS)


async def write(file: InFlight) -> None:
    await file.write(BATCH.client_id, BATCH.first_sequence, BATCH.received_at, EVENTS)


async def test_a_written_batch_comes_back(tmp_path: Path) -> None:
    """What was written is read by another process, until it is removed."""
    assert await InFlight(tmp_path, "alice").read() is None
    await write(InFlight(tmp_path, "alice"))
    assert await InFlight(tmp_path, "alice").read() == BATCH
    await InFlight(tmp_path, "alice").remove()
    assert await InFlight(tmp_path, "alice").read() is None
    assert os.listdir(tmp_path) == []  # noqa: PTH208 -- in a coroutine, on tmpfs


async def test_removing_what_is_not_there_is_no_fault(tmp_path: Path) -> None:
    """remove() may be repeated."""
    await InFlight(tmp_path, "alice").remove()


async def test_the_newest_batch_replaces_the_older(tmp_path: Path) -> None:
    """There is one batch at a time."""
    file = InFlight(tmp_path, "alice")
    await file.write("older", 0, 0.0, [])
    await write(file)
    assert await file.read() == BATCH


async def test_accounts_have_files_of_their_own(tmp_path: Path) -> None:
    """No two accounts share a file, whatever their names are."""
    paths = {InFlight(tmp_path, account).path for account in ("a", "A", "a.b", "a.new", "..a", "a@b")}
    assert len(paths) == 6
    assert all(path.parent == tmp_path for path in paths)


async def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """The file holds customers' events: nobody else's business."""
    file = InFlight(tmp_path, "alice")
    await write(file)
    assert file.path.stat().st_mode & 0o077 == 0


async def test_every_torn_file_is_set_aside(tmp_path: Path) -> None:
    """A file that was cut anywhere, or changed, is no batch; it is kept beside for people to look at."""
    file = InFlight(tmp_path, "alice")
    await write(file)
    whole = file.path.read_bytes()
    for torn in (whole[: len(whole) // 2], whole[:3], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        file.path.write_bytes(torn)
        assert await file.read() is None
        assert not file.path.exists()
        assert file.path.with_suffix(".damaged").read_bytes() == torn


async def test_an_unfinished_write_leaves_the_older_batch(tmp_path: Path) -> None:
    """A process that dies while it writes leaves what was there before."""
    file = InFlight(tmp_path, "alice")
    await write(file)
    file._temporary.write_bytes(b"half of a")
    assert await InFlight(tmp_path, "alice").read() == BATCH


async def test_a_disk_that_fails_is_reported(tmp_path: Path) -> None:
    """A directory that isn't there, or is a file, gives InFlightUnwritable with the directory's name."""
    (tmp_path / "file").touch()
    for directory in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(InFlightUnwritable, match=directory.name):
            await write(InFlight(directory, "alice"))
