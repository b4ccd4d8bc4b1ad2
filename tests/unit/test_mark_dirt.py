"""`bridge mark --dry-run` as a process, on lists as users have them."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.integration.mark_runs import write
from tests.unit.cli_process import Command, Ended, bridge

DEFAULTS = ("--application", "134", "--campaign", "C1", "--list", "L1", "--device", "d1")
MANY = 100_000
MOST_MORE = 12 << 20
"""Bytes. Kept rows would take more than 50 MB."""
DIRT: tuple[tuple[bytes, str], ...] = (
    (b"Name;Telefon;Ort", ""),
    ("Müller;4155552671;Köln".encode("latin-1"), "POST"),
    (b'"Smith; John";(415) 555-2672;""', "POST"),
    (b"", ""),
    (b" ; ; ", ""),
    (b"plus; +1 415-555-2673 ;", "POST"),
    (b"double;+14155552671;", "duplicate"),
    (b"extension;4155552674 x12;", "invalid, extension"),
    (b"letters;1-800-FLOWERS;", "invalid, letters"),
    (b"unknown;;", "invalid, no-record"),
    (b"scientific;4.15555E+09;", "invalid, decimal"),
    (b"formula;=4155552675;", "invalid, characters"),
    (b'open;"4155552676;', "invalid, open-quote"),
    (b"moved;by;a;delimiter;4155552677", "invalid, columns"),
    (b"short", "invalid, no-record"),
    (b"long;" + b"7" * 10_000_000, "invalid, line-too-long"),
    (b"escape\x1b[2J;4155552678;", "POST"),
    (b"two;4155552678/4155552679;", "invalid, several-numbers"),
    (b"zero\0byte;41555526\0 80;", "invalid"),
    (b"no such;2005550000;", "invalid, invalid-number"),
    (b"last;4155552671", "duplicate"),
)


async def dry_run(file: str, *arguments: str) -> Ended:
    return await bridge("mark", file, *DEFAULTS, "--dry-run", *arguments, environment={}, within=120)


async def test_a_list_with_every_kind_of_dirt(tmp_path: Path) -> None:
    """Each row is told by its line: sent, duplicate, or invalid with the reason; nothing raises a traceback."""
    file = tmp_path / "list.csv"
    file.write_bytes(b"\r\n".join(line for line, _ in DIRT))
    ended = await dry_run(str(file), "--column", "phone=Telefon", "--region", "US")
    assert ended.status == 1
    lines = dict(line.removeprefix("row ").split(": ", 1) for line in ended.output.splitlines()[:-1])
    for number, (_, outcome) in enumerate(DIRT, start=1):
        assert lines.pop(str(number), "").startswith(outcome), (number, outcome)
    assert lines == {}
    assert ended.output.splitlines()[-1] == "dry run: nothing was sent; 4 rows to send, 12 invalid, 2 duplicate"
    assert "cp1252" in ended.errors
    assert "Traceback" not in ended.errors
    assert "4155552" not in ended.errors


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le", "utf-32"])
async def test_encodings(tmp_path: Path, encoding: str) -> None:
    """A campaign with an umlaut is sent as it was meant, whichever encoding the list has."""
    file = tmp_path / "list.csv"
    file.write_bytes("Phone,Campaign\n3001,Käufer\n".encode(encoding))
    ended = await dry_run(str(file))
    assert ended.status == 0, ended.errors
    body = json.loads(ended.output.splitlines()[0].partition("outbound-records ")[2])
    assert body["campaignName"] == "Käufer"


async def test_standard_input() -> None:
    """`-` is standard input, which needs a name for the results; the job is called after them."""
    reading, writing = os.pipe()
    os.write(writing, b'{"handle": 13}\n')
    os.close(writing)
    arguments = ("mark", "-", *DEFAULTS, "--dry-run", "--results", "nightly.csv")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", *arguments, stdin=reading, stdout=PIPE, stderr=PIPE
    )
    output, errors = await process.communicate()
    os.close(reading)
    assert process.returncode == 0, errors
    assert output.startswith(b"row 1: POST /api/v2/me/outbound-records/13 ")
    assert b'"referenceId":"nightly-1"' in output
    ended = await dry_run("-")
    assert ended.status == 2
    assert "--results" in ended.errors


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("Name,Ort\nx,y\n", (), "no column with phone numbers"),
        ("3001\n", ("--column", "fon=1"), "--column needs FIELD=NAME"),
        ("3001\n", ("--delimiter", "ab"), "--delimiter"),
        ("3001\n", ("--encoding", "klingon"), "--encoding"),
        ("3001\n", ("--region", "Utopia"), "--region"),
        ("3001\n", ("--url", "localhost:8080"), "--url"),
        ("3001\n", ("--job", "a/b"), "--job"),
    ],
)
async def test_unusable_input(tmp_path: Path, text: str, arguments: tuple[str, ...], words: str) -> None:
    """What can't be used at all ends with code 2 and says what to correct."""
    file = tmp_path / "list.csv"
    file.write_text(text)
    ended = await dry_run(str(file), *arguments)
    assert ended.status == 2
    assert words in ended.errors
    assert "Traceback" not in ended.errors


async def test_an_empty_list(tmp_path: Path) -> None:
    """A list without rows is no fault: some nights nobody asks."""
    file = tmp_path / "list.csv"
    file.write_text("phone,name\n")
    ended = await dry_run(str(file))
    assert (ended.status, ended.output) == (0, "dry run: nothing was sent; 0 rows to send\n")


async def test_memory(tmp_path: Path) -> None:
    """Rows are not kept in memory: a list of 100,000 takes about as much of it as an empty one."""
    peaks = []
    for rows in (0, MANY):
        file = write(tmp_path / f"{rows}.txt", map(str, range(4_150_000_000, 4_150_000_000 + rows)))
        program = (
            f"import sys; sys.argv = ['bridge', 'mark', {str(file)!r}, *{DEFAULTS!r}, '--dry-run']\n"
            "import contextlib, resource, bridge.cli\n"
            "with contextlib.suppress(SystemExit), open('/dev/null', 'w') as sys.stdout: bridge.cli.main()\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        async with Command(environment={}, program=(sys.executable, "-c", program)) as command:
            ended = await command.ended(within=240)
        peaks.append(int(ended.errors.splitlines()[-1]) << 10)
    assert peaks[1] - peaks[0] < MOST_MORE
