import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.commands.mark.source import LONGEST_LINE, Line, Source, opened
from bridge.errors import UnusableInput
from tests.unit.mark_parts import source

TEXT = "Name;Telefon\nMüller;4155552671\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.encode("utf-16"), "utf-16"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("utf-32"), "utf-32"),
        (TEXT.encode("latin-1"), "cp1252"),
        (b"4155552671\n" * 200_000 + "Müller\n".encode("latin-1"), "cp1252"),
        (b"", "utf-8"),
        (b"4155\0552671\nMueller;4155552671", "utf-8"),
    ],
)
def test_encoding(data: bytes, encoding: str) -> None:
    """A mark decides, zero bytes are UTF-16, what is UTF-8 to its end is that, and the rest is Windows-1252."""
    found = source(data)
    assert found.encoding == encoding
    last = [line.text for line in found.lines()][-1:]
    assert not data or last in (["Müller;4155552671"], ["Müller"], ["Mueller;4155552671"])


def test_named_encoding() -> None:
    """--encoding overrides the rule; a byte order mark is not part of the first cell in any case."""
    found = source(TEXT.encode("utf-8-sig"), "utf-8")
    assert next(found.lines()) == Line(1, "Name;Telefon")
    assert [line.text for line in source("Ж".encode("cp1251"), "cp1251").lines()] == ["Ж"]


@pytest.mark.parametrize("name", ["klingon", "hex", "rot13"])
def test_unknown_encoding(name: str) -> None:
    """A name that is no text encoding is an unusable argument."""
    with pytest.raises(UnusableInput, match="--encoding"):
        source(TEXT, name)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end: str) -> None:
    """Lines end as on Unix, Windows or an old Macintosh; the last one may have no end."""
    assert list(source(f"1{end}2{end}{end}3").lines()) == [Line(1, "1"), Line(2, "2"), Line(3, ""), Line(4, "3")]


@pytest.mark.parametrize("length", [LONGEST_LINE, LONGEST_LINE + 1, 10_000_000])
@pytest.mark.parametrize("end", ["\n", ""])
def test_long_lines(length: int, end: str) -> None:
    """A line beyond the bound is passed over and told; the lines around it are read."""
    lines = list(source("1\n" + "x" * length + f"{end}" + "2\n" * bool(end)).lines())
    kept = "x" * length if length <= LONGEST_LINE else None
    assert lines == [Line(1, "1"), Line(2, kept), *([Line(3, "2")] if end else [])]


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Whatever bytes a list has, they are read as lines, numbered one by one, as often as wanted."""
    found = source(data)
    lines = list(found.lines())
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert lines == list(found.lines())
    assert found.count() == sum(bool((line.text or "").strip()) for line in lines)


def test_pipe() -> None:
    """A list from a pipe, which can be read only once, is read like a file."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(b"4155552671\n" * 50_000)

    writer = threading.Thread(target=write)
    writer.start()
    with opened(f"/dev/fd/{reading}") as file:
        writer.join()
        found = Source(file)
        assert found.count() == found.count() == 50_000
    os.close(reading)


@pytest.mark.parametrize("path", ["/nowhere/list.csv", "/"])
def test_unreadable(path: str) -> None:
    """A file that is not there, or a directory, is unusable input with a cause."""
    with pytest.raises(UnusableInput, match="can't be read: "), opened(path):
        pass


def test_the_file_stays_open_between_readings() -> None:
    """A reading that is given up does not close the list."""
    file = io.BytesIO(b"1\n2\n")
    found = Source(file)
    for line in found.lines():
        assert line.number == 1
        break
    assert len(list(found.lines())) == 2


def test_a_reading_may_end_after_the_file() -> None:
    """Ctrl-C closes the list in the middle of a reading. The end of the reading is then no further error."""
    file = io.BytesIO(b"1\n2\n")
    reading = Source(file).lines()
    next(reading)
    file.close()
    reading.close()
