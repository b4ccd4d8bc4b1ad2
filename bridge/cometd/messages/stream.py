"""The messages of a reply that is still on the wire: found as they come, in memory that one message bounds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bridge.cometd.http.incoming import too_large
from bridge.cometd.messages.message import decode, decode_element, decode_prefix
from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.cometd.messages.message import Message

AT_ONCE: Final = 4000
"""Messages that are decoded together where each is looked at alone: bytes that are no messages are short, and many."""
GUESSES: Final = 3
_LONGEST_HEAD: Final = 64
_SPACE: Final = b" \t\n\r"
_BETWEEN: Final = re.compile(rb'[",]|[\[{]+|[\]}]+')
_WITHIN: Final = re.compile(rb'"|[\[{]+|[\]}]+')
_TEXT: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


class MessageStream:
    """Splits the JSON array of a reply into messages. `limit` bounds one message, and what is no message, in bytes.

    The fast way guesses where the last whole element ends, and decodes all before it together: what is decoded begins
    where an element begins, and JSON is read from left to right, so it is whole elements or it can't be decoded. The
    slow way, for what can't be decoded, follows strings and brackets and looks at each byte once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        """Bytes that have come in all."""
        self._rest = bytearray()
        """What is not taken yet: it begins where an element begins, or where the body does."""
        self._blanks = 0
        """Bytes of space before the body, which are no message either."""
        self._in_array = False
        self._taken = False
        """Whether a comma was the last thing before `_rest`."""
        self._ends = _ElementEnds()

    def feed(self, part: bytes) -> Iterator[list[Message]]:
        """Add the next part of the body; yield the messages that are whole with it, in order.

        Raises:
            ExchangeFailed: `reply-too-large`, or `not-json`; what came before was yielded.
        """
        self._size += len(part)
        self._rest += part if self._in_array or self._rest else self._begin(part)
        if self._in_array:
            before = len(self._rest)
            guessed = None if self._ends.begun else self._guess()
            if guessed is not None:
                yield guessed
            if len(self._rest) > before // 2:  # elements of many kinds: a guess takes few of them
                yield from self._follow()
        if self._blanks + len(self._rest) > self._limit:
            raise too_large(self._limit)

    def end(self) -> list[Message]:
        """Return the messages that were left at the end of the body.

        Raises:
            ExchangeFailed: `not-json`, the body as a whole is not an array of messages.
        """
        if not self._in_array:
            return decode(bytes(self._rest))
        if not self._ends.find(self._rest, 1):
            end = self._ends.closed_at
            if end is not None and end > AT_ONCE and not self._rest[end:].strip(_SPACE):
                return [decode_element(self._last(end - 1), size=self._size)]
        trailing_comma = self._taken and self._rest.strip(_SPACE) == b"]"
        return decode(b"" if trailing_comma else b"[" + self._rest, size=self._size)

    def _last(self, end: int) -> bytes:
        """Return the last element, of which no second copy stays here: it may be as long as the limit."""
        with memoryview(self._rest) as rest:
            element = bytes(rest[:end])
        self._rest = bytearray()
        return element

    def _begin(self, part: bytes) -> bytes:
        """Return what is left of a part without the space before the body, and without an array's bracket."""
        body = part.lstrip(_SPACE)
        if body[:1] == b"[":
            self._in_array, self._blanks = True, 0
            return body[1:]
        self._blanks += len(part) - len(body)
        return body

    def _guess(self) -> list[Message] | None:
        """Take all elements before the last one that begins as the first one does: most often its end is to come."""
        head = bytes(self._rest[: self._rest.find(b":", 0, _LONGEST_HEAD) + 1]).lstrip(_SPACE)
        at = len(self._rest)
        for _ in range(GUESSES if head else 0):
            at = self._rest.rfind(head, 1, at)
            if at < 0:
                break
            comma = self._comma_before(at)
            if comma > 0:
                messages = decode_prefix(b"".join((b"[", memoryview(self._rest)[:comma], b"]")))
                if messages is not None:
                    self._take(comma + 1)
                    return messages
        return None

    def _comma_before(self, at: int) -> int:
        """Return where the comma is that only space parts from `at`, 0 where there is none."""
        at -= 1
        while at > 0 and self._rest[at] in _SPACE:
            at -= 1
        return at if at > 0 and self._rest[at : at + 1] == b"," else 0

    def _follow(self) -> Iterator[list[Message]]:
        """Take one element after the other, as far as they are whole."""
        found = False
        while ends := self._ends.find(self._rest, AT_ONCE):
            found, begin = True, 0
            elements = []
            for end in ends:
                with memoryview(self._rest) as rest:
                    elements.append(bytes(rest[begin:end]))
                begin = end + 1
            self._take(begin)
            yield from self._decoded(elements)
        if found:  # what is left came with this part: looking at it once more is cheap, and guessing may do again
            self._ends.restart()

    def _decoded(self, elements: list[bytes]) -> Iterator[list[Message]]:
        messages: list[Message] = []
        for element in elements:
            try:
                messages.append(decode_element(element, size=self._size))
            except ExchangeFailed:
                if messages:
                    yield messages
                raise
        yield messages

    def _take(self, count: int) -> None:
        del self._rest[:count]
        self._taken = True
        self._ends.moved(count)


class _ElementEnds:
    """Finds the commas between the elements of an array, and remembers where it was when more bytes come."""

    def __init__(self) -> None:
        self._at = 0
        self._depth = 0
        self._in_string = False
        self._over = False
        """Whether the array's own end was passed: what follows is left for `end` to judge."""

    @property
    def begun(self) -> bool:
        """Whether a part of the present element was looked at."""
        return self._at > 0

    @property
    def closed_at(self) -> int | None:
        """Where the text goes on behind the array's own end; None while that is not known."""
        return self._at if self._over else None

    def restart(self) -> None:
        """Look at the present element again, from its beginning."""
        if not self._over:
            self._at, self._depth, self._in_string = 0, 0, False

    def moved(self, count: int) -> None:
        """Take note that so many bytes before the place that was reached are gone."""
        self._at = max(0, self._at - count)

    def find(self, text: bytearray, at_most: int) -> list[int]:
        """Return the places of the next commas."""
        ends: list[int] = []
        while not self._over and len(ends) < at_most:
            if self._in_string and not self._leave_string(text):
                break
            found = (_WITHIN if self._depth else _BETWEEN).search(text, self._at)
            if found is None:
                self._at = len(text)
                break
            marks, self._at = found[0], found.end()
            if marks == b'"':
                self._in_string = True
            elif marks == b",":
                ends.append(found.start())
            elif marks[0] in b"[{":
                self._depth += len(marks)
            else:
                self._depth -= len(marks)
                self._over = self._depth < 0
        return ends

    def _leave_string(self, text: bytearray) -> bool:
        """Move past the closing quote.

        Return False if that quote, or the character after a backslash, has not arrived.
        """
        found = _TEXT.match(text, self._at)
        self._at = found.end() if found is not None else self._at
        if text[self._at : self._at + 1] != b'"':
            return False
        self._at += 1
        self._in_string = False
        return True
