"""Converts fields to the types that consumers expect. Web Services may send "134" for 134, or 66 for "66"."""

from __future__ import annotations

import re

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
_EXACT_FLOAT = 2.0**53
"""Up to this number, each whole float represents exactly one integer."""
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def integer(value: object) -> int | None:
    """Return the value as a 64-bit integer, None if that is not possible (other text, 1.5, true, 2**64)."""
    if value is None:
        return None
    if type(value) is int:  # not bool, which is a subclass
        number: int | None = value
    elif isinstance(value, str):
        number = int(value) if _INTEGER.fullmatch(value) else None
    elif isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        number = int(value)
    else:
        return None
    return number if number is not None and INT64_MIN <= number <= INT64_MAX else None


def text(value: object) -> str | None:
    """Return text unchanged, an integer as its digits, and None for any other value."""
    if isinstance(value, str):
        return value
    number = integer(value)
    return None if number is None else str(number)
