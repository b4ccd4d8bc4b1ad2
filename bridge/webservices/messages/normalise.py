"""Web Services is free with types ("134" for 134, 66 for "66"): one value of each, as consumers expect it."""

from __future__ import annotations

import re

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
_EXACT_FLOAT = 2.0**53
"""Up to here a float (134.0) tells one integer."""
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def integer(value: object) -> int | None:
    """Return the 64-bit integer that the value means, None where it means none (text, 1.5, true, 2**64)."""
    if value is None:
        return None
    if isinstance(value, str):
        number = int(value) if _INTEGER.fullmatch(value) else None
    elif isinstance(value, bool):
        return None
    elif isinstance(value, int):
        number = value
    elif isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        number = int(value)
    else:
        return None
    return number if number is not None and INT64_MIN <= number <= INT64_MAX else None


def text(value: object) -> str | None:
    """Return the value if it is text, and the digits of an integer; None for anything else."""
    if isinstance(value, str):
        return value
    number = integer(value)
    return None if number is None else str(number)
