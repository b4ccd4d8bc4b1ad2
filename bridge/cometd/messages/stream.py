"""Splits a long reply into messages while it is being received. Memory grows only with the longest message."""

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
"""Maximum number of elements that the slow way returns together. A reply may have very many short elements that are no
messages."""
GUESSES: Final = 3
_LONGEST_HEAD: Final = 64
_SPACE: Final = b" \t\n\r"
_BETWEEN: Final = re.compile(rb'[",]|[\[{]+|[\]}]+')
_WITHIN: Final = re.compile(rb'"|[\[{]+|[\]}]+')
_TEXT: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


class MessageStream:
    """Splits the JSON array of a reply into messages, each of at most `limit` bytes.

    The fast way guesses where the last complete element ends, and decodes all elements up to there together. A wrong
    guess is harmless, because those bytes can't be decoded. The slow way is used if elements can't be decoded together.
    The slow way finds the end of each element by counting brackets outside of strings, and reads each byte once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        """Number of bytes so far."""
        self._rest = bytearray()
        """The bytes that are not decoded yet, from the start of an element or of the body."""
        self._blanks = 0
        """Number of bytes of white space before the body. They count towards the limit."""
        self._in_array = False
        self._taken = False
        """Whether `_rest` follows a comma."""
        self._ends = _ElementEnds()

    def feed(self, part: bytes) -> Iterator[list[Message]]:
        """Add the next part of the body. Yield the messages that are complete now, in order.

        Raises:
            ExchangeFailed: `reply-too-large` or `not-json`. All messages before the error have been yielded.
        """
        self._size += len(part)
        self._rest += part if self._in_array or self._rest else self._begin(part)
        if self._in_array:
            before = len(self._rest)
            guessed = None if self._ends.begun else self._guess()
            if guessed is not None:
                yield guessed
            if len(self._rest) > before // 2:  # the guess decoded less than half, because elements differ much
                yield from self._follow()
        if self._blanks + len(self._rest) > self._limit:
            raise too_large(self._limit)

    def end(self) -> list[Message]:
        """Return the last messages, after the whole body was fed.

        Raises:
            ExchangeFailed: `not-json`, the body is not an array of messages.
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
        """Return the last element, and free the buffer, because the element may be as long as the limit."""
        with memoryview(self._rest) as rest:
            element = bytes(rest[:end])
        self._rest = bytearray()
        return element

    def _begin(self, part: bytes) -> bytes:
        """Return the first part, without the white space before the array and without the opening bracket."""
        body = part.lstrip(_SPACE)
        if body[:1] == b"[":
            self._in_array, self._blanks = True, 0
            return body[1:]
        self._blanks += len(part) - len(body)
        return body

    def _guess(self) -> list[Message] | None:
        """Guess where the last element begins, and decode the elements before it. The last one may be incomplete."""
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
        """Return the place of the comma before `at`, or 0 if there is more than white space between the two."""
        at -= 1
        while at > 0 and self._rest[at] in _SPACE:
            at -= 1
        return at if at > 0 and self._rest[at : at + 1] == b"," else 0

    def _follow(self) -> Iterator[list[Message]]:
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
        if found:  # the rest is part of one element: reading it again is cheap, and the next guess may work
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
    """Finds the commas between the elements of an array. Each call of `find` continues where the last call stopped."""

    def __init__(self) -> None:
        self._at = 0
        self._depth = 0
        self._in_string = False
        self._over = False
        """Whether the end of the array was found. `MessageStream.end` checks the bytes after the array."""

    @property
    def begun(self) -> bool:
        """Whether a part of the current element has been read."""
        return self._at > 0

    @property
    def closed_at(self) -> int | None:
        """The place after the array's closing bracket, None while the bracket has not been found."""
        return self._at if self._over else None

    def restart(self) -> None:
        """Go back to the beginning of the current element."""
        if not self._over:
            self._at, self._depth, self._in_string = 0, 0, False

    def moved(self, count: int) -> None:
        """Adapt to the removal of `count` bytes from the start of the text."""
        self._at = max(0, self._at - count)

    def find(self, text: bytearray, at_most: int) -> list[int]:
        """Return the places of the next commas between elements, at most `at_most`."""
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
        """Move past the closing quote. Return False if the closing quote has not arrived yet."""
        found = _TEXT.match(text, self._at)
        self._at = found.end() if found is not None else self._at
        if text[self._at : self._at + 1] != b'"':
            return False
        self._at += 1
        self._in_string = False
        return True
