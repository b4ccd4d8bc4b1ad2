"""Reads the list as lines of text, from a file, a pipe or standard input.

`--encoding` names the encoding. Without this option, these rules are tried in order:

1. A byte order mark at the start determines the encoding.
2. A text with a zero byte in most characters is UTF-16.
3. A text that is valid UTF-8 from its beginning to its end is UTF-8.
4. Every other text is Windows-1252, which has all letters of Latin-1.
"""

from __future__ import annotations

import codecs
import io
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from bridge.commands.mark.options import STANDARD_INPUT
from bridge.errors import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

LONGEST_LINE: Final = 65_536
"""Maximum number of characters of a line. A longer line is reported as invalid, and is never completely in memory."""
_CHUNK: Final = 1 << 20
_SAMPLE: Final = 4096
_MARKS: Final = (
    # UTF-32 is tried first, because its little-endian mark begins with the mark of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MARK: Final = "\ufeff"
REPLACEMENT: Final = "\ufffd"
"""The character that replaces bytes that are not valid in the encoding."""


class Line(NamedTuple):
    """One line of the list without its line end. `text` is None if the line is longer than `LONGEST_LINE`."""

    number: int
    """The first line is 1."""
    text: str | None


class Source:
    """An open list. The lines of the list can be read several times."""

    def __init__(self, file: IO[bytes], encoding: str | None = None) -> None:
        """Decode the file with `encoding`, or with the encoding that the rules find.

        Raises:
            UnusableInput: Python has no text encoding with this name.
        """
        self._file = file
        self.encoding = encoding or _encoding_of(file)
        try:
            self._text().detach()
        except LookupError:
            raise UnusableInput(f"--encoding {encoding!r} is not known; try utf-8, utf-16 or cp1252") from None

    def lines(self) -> Generator[Line, None, None]:
        """Yield all lines from the first line on.

        Only one iteration may be active, because all iterations share one file position.
        """
        text = self._text()
        try:
            number = 0
            while line := text.readline(LONGEST_LINE + 1):
                number += 1
                if number == 1:
                    line = line.removeprefix(MARK)
                if len(line) > LONGEST_LINE and not line.endswith("\n"):
                    while line and not line.endswith("\n"):
                        line = text.readline(LONGEST_LINE)
                    yield Line(number, None)
                else:
                    yield Line(number, line.rstrip("\n"))
        except UnicodeError as error:  # UTF-16 and UTF-32 without their mark
            raise UnusableInput(f"the list is not {self.encoding}: {error}; name the right --encoding") from None
        finally:
            if not self._file.closed:  # Ctrl-C may close the file before this iteration ends
                text.detach()

    def count(self) -> int:
        """Count the lines that are not empty."""
        return sum(1 for line in self.lines() if line.text is None or line.text.strip())

    def _text(self) -> io.TextIOWrapper:
        self._file.seek(0)
        return io.TextIOWrapper(self._file, self.encoding, errors="replace", newline=None)


@contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """Open the list. Standard input and pipes are first copied to an unnamed temporary file.

    Raises:
        UnusableInput: the file does not exist, or can't be read.
    """
    with ExitStack() as stack:
        try:
            source: IO[bytes] = stack.enter_context(
                sys.stdin.buffer if file == STANDARD_INPUT else Path(file).open("rb")  # noqa: SIM115 -- on the stack
            )
            if file == STANDARD_INPUT or not source.seekable():
                copy = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(source, copy, _CHUNK)
                source = copy
            source.seek(0)
        except OSError as error:
            raise UnusableInput(f"the list {file} can't be read: {error.strerror or type(error).__name__}") from None
        yield source


def _encoding_of(file: IO[bytes]) -> str:
    file.seek(0)
    sample = file.read(_SAMPLE)
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    for encoding, high_bytes in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        if high_bytes.count(0) * 2 > len(high_bytes):
            return encoding
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while chunk := file.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
