"""The elements of a JSON array one by one, for the reply that can't be read as a whole."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, Never

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPACE: Final = frozenset(" \t\n\r")
_NESTING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
LARGEST_SCANNED: Final = 4 << 20
"""Characters of a value with brackets that is scanned: the scanner makes objects, of up to thirty times its size."""


def array_elements(text: str) -> Iterator[str]:
    """Yield the text of each element of an array, or of the one value that stands there instead.

    The standard library's scanner only looks for the ends here: unlike msgspec it takes half a surrogate pair, which is
    JSON all the same (RFC 8259, section 8.2) and must not hold up the events around it.

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
    """Tell whether the text is one JSON value and nothing else, as `elements` reads it."""
    try:
        return bool(text) and _end(text, 0) == len(text)
    except ValueError:
        return False


def _end(text: str, start: int) -> int:
    """Return where the value that begins at `start` ends. A value too deep or too large to be read is only measured."""
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


# Numbers stay text: their size is no reason to refuse them.
_scan: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse).raw_decode
