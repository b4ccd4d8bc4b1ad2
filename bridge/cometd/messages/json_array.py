"""Splits a JSON array into its elements, for replies that msgspec can't decode as a whole."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, Never

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPACE: Final = frozenset(" \t\n\r")
_NESTING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
LARGEST_SCANNED: Final = 4 << 20
"""Characters. A longer array or object is not scanned, because the scanner needs up to thirty times as much memory."""


def array_elements(text: str) -> Iterator[str]:
    """Yield the text of each element of an array. If the text is no array but another JSON value, yield the whole text.

    The standard library's scanner finds the ends of elements. Unlike msgspec, the scanner accepts half a surrogate
    pair, which is valid JSON (RFC 8259, section 8.2).

    Raises:
        ValueError: the text is not JSON.
    """
    start = _past_space(text, 0)
    if text[start : start + 1] != "[":
        end = _end(text, start)
        yield text[start:end]
    else:
        end = _past_space(text, start + 1)
        more = text[end : end + 1] != "]"
        while more:
            start = end
            end = _end(text, start)
            yield text[start:end]
            end = _past_space(text, end)
            more = text[end : end + 1] == ","
            if more:
                end = _past_space(text, end + 1)
        if text[end : end + 1] != "]":
            raise ValueError("neither a comma nor the end")
        end += 1
    if _past_space(text, end) != len(text):
        raise ValueError("trailing characters")


def is_value(text: str) -> bool:
    """Return whether the text is one JSON value, by the rules of `array_elements`."""
    try:
        return bool(text) and _end(text, 0) == len(text)
    except ValueError:
        return False


def _end(text: str, start: int) -> int:
    """Return the end of the value at `start`. If the value is too deep or too large, only count its brackets."""
    if len(text) - start > LARGEST_SCANNED and text[start] in "[{":
        end = _end_of_nesting(text, start)
        if end - start > LARGEST_SCANNED:
            return end
    try:
        _, end = _scan(text, start)
    except RecursionError:
        return _end_of_nesting(text, start)
    return end


def _end_of_nesting(text: str, start: int) -> int:
    depth = 0
    for token in _NESTING.finditer(text, start):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    raise ValueError("a bracket is never closed")


def _past_space(text: str, start: int) -> int:
    while text[start : start + 1] in _SPACE:
        start += 1
    return start


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")


# Numbers stay text, because Python refuses very long ones.
_scan: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse).raw_decode
