"""Reads request bodies with limits on size and time, and parses them as strict JSON (RFC 8259, RFC 7493)."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect

from bridge.http.problems.problems import INVALID, Refused
from bridge.operations import nested_too_deep

if TYPE_CHECKING:
    from fastapi import Request

LARGEST_BODY: Final = 64 * 1024
"""Maximum size of a body in bytes. A usual request has a few hundred bytes."""
BODY_DEADLINE: Final = 10.0
"""Maximum seconds until the whole body has arrived."""
_TOO_DEEP: Final = "It is nested too deeply."
LONGEST_INTEGER: Final = 1000
"""Maximum digits of an integer. Parsing takes quadratic time, and Python refuses more than a few thousand digits."""


async def strict_json(request: Request) -> Any:
    """Read and parse the body.

    FastAPI's own parser accepts NaN, repeated names and lone surrogates, which can't be forwarded unchanged.

    Raises:
        Refused: the body is too large, too slow, or not JSON.
        RequestValidationError: the body is empty.
    """
    body = await read_body(request)
    if not body:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required"}])
    _check_media_type(request.headers.get("Content-Type"))
    try:
        return parse(body)
    except json.JSONDecodeError as error:
        raise Refused(400, "malformed-json", f"The body is not valid JSON: {error.msg}", status_code=INVALID) from None


async def read_body(request: Request) -> bytes:
    """Read the body.

    Raises:
        Refused: the body is too large or too slow, or the caller disconnected.
    """
    body = bytearray()
    deadline = asyncio.timeout(BODY_DEADLINE)
    try:
        async with deadline:
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise Refused(413, "body-too-large", f"The body has more than {LARGEST_BODY} bytes.")
    except ClientDisconnect:  # the answer reaches nobody, but an uncaught error would be logged as a failure
        raise Refused(400, "malformed-request", "The caller disconnected before the end of the body.") from None
    except TimeoutError:
        if not deadline.expired():
            raise
        raise Refused(408, "body-too-slow", f"The body did not arrive within {BODY_DEADLINE:g} s.") from None
    return bytes(body)


def parse(body: bytes) -> Any:
    """Parse JSON strictly.

    Raises:
        json.JSONDecodeError: the body is not strict JSON. The message contains nothing of the body.
    """
    try:
        text = body.decode("utf-8")
        value = _DECODER.decode(text)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(error.msg, "", 0) from None
    except UnicodeDecodeError:
        raise json.JSONDecodeError("It is not UTF-8.", "", 0) from None
    except UnicodeEncodeError:
        raise json.JSONDecodeError("A string has half a surrogate pair.", "", 0) from None
    except RecursionError:
        raise json.JSONDecodeError(_TOO_DEEP, "", 0) from None
    if nested_too_deep(value):
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


def _check_media_type(content_type: str | None) -> None:
    """Accept only JSON. Browsers let pages of other sites send other types, or none, without a CORS preflight."""
    essence = (content_type or "").partition(";")[0].strip().lower()
    if essence != "application/json" and not (essence.startswith("application/") and essence.endswith("+json")):
        raise Refused(415, "unsupported-media-type", "The body must be application/json.")
