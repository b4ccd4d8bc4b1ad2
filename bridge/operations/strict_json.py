"""Parses the JSON of callers strictly (RFC 8259, RFC 7493)."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from bridge.operations.recorded_request import nested_too_deep

_TOO_DEEP: Final = "It is nested too deeply."
LONGEST_INTEGER: Final = 1000
"""Maximum digits of an integer. Parsing takes quadratic time, and Python refuses more than a few thousand digits."""


def parse_json(body: bytes) -> Any:
    """Parse JSON strictly.

    Raises:
        json.JSONDecodeError: the body is not strict JSON. The message contains nothing of the body.
    """
    try:
        text = body.decode("utf-8")
        value = _DECODER.decode(text)
        if "\\u" in text:  # only an escape can be half a surrogate pair
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(error.msg, "", 0) from None
    except UnicodeDecodeError:
        raise json.JSONDecodeError("It is not UTF-8.", "", 0) from None
    except UnicodeEncodeError:
        raise json.JSONDecodeError("A string has half a surrogate pair.", "", 0) from None
    except RecursionError:
        raise json.JSONDecodeError(_TOO_DEEP, "", 0) from None
    if nested_too_deep(body, value):
        raise json.JSONDecodeError(_TOO_DEEP, "", 0)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise json.JSONDecodeError("An object has the same name twice.", "", 0)
    return values


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise json.JSONDecodeError("An integer is too long.", "", 0)
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise json.JSONDecodeError("A number is too large.", "", 0)
    return value


def _no_constant(_: str) -> Any:
    raise json.JSONDecodeError("NaN and Infinity are not JSON.", "", 0)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_no_constant
)
