"""Reads request bodies with limits on size and time, and parses them as strict JSON."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError

from bridge.http.problems.problems import INVALID, Refused
from bridge.operations import parse_json

if TYPE_CHECKING:
    from fastapi import Request

LARGEST_BODY: Final = 64 * 1024
"""Maximum size of a body in bytes. A usual request has a few hundred bytes."""
BODY_DEADLINE: Final = 10.0
"""Maximum seconds until the whole body has arrived."""


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
        return parse_json(body)
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
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "malformed-request", "The caller disconnected before the end of the body.")
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > LARGEST_BODY:
                    raise Refused(413, "body-too-large", f"The body has more than {LARGEST_BODY} bytes.")
    except TimeoutError:
        if not deadline.expired():
            raise
        raise Refused(408, "body-too-slow", f"The body did not arrive within {BODY_DEADLINE:g} s.") from None
    return bytes(body)


def _check_media_type(content_type: str | None) -> None:
    """Accept only JSON, because a page of another site may send some other types without a CORS preflight."""
    essence = (content_type or "").partition(";")[0].strip().lower()
    if essence != "application/json" and not (essence.startswith("application/") and essence.endswith("+json")):
        raise Refused(415, "unsupported-media-type", "The body must be application/json.")
