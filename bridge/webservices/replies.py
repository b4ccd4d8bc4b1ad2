"""Reads replies of Web Services: the verdict (statusCode and message), and whether the login must be renewed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from bridge.errors import UNDECODABLE, UpstreamInvalidReply
from bridge.webservices.statuscodes import NOT_AUTHENTICATED, OK

if TYPE_CHECKING:
    from bridge.cometd import HttpReply

LARGEST_STATUS_CODE: Final = 2**31 - 1
"""The documented statusCodes are 0 to 20. A reply with a larger number counts as a reply without a statusCode."""
LONGEST_MESSAGE: Final = 2000
"""Maximum number of characters of `statusMessage` in the operation's event and in the reply to the caller."""


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """The verdict of Web Services. `status_message` is free text for the caller, and must not be logged."""

    http_status: int
    status_code: int
    status_message: str | None = None


class Challenge(Enum):
    """What a refused request lacked: login, CSRF token or neither. HTTP status 403 alone does not show this."""

    NONE = "none"
    LOGIN = "login"
    CSRF = "csrf"


class _Body(msgspec.Struct, rename="camel"):
    status_code: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_STATUS_CODE)]
    status_message: object = None


_DECODER = msgspec.json.Decoder(_Body)


def verdict(reply: HttpReply) -> UpstreamReply:
    """Return the verdict of a reply.

    Raises:
        UpstreamInvalidReply: the reply has no statusCode, or has statusCode 0 with an HTTP error.
    """
    body = _body(reply)
    if body is None:
        raise UpstreamInvalidReply(
            f"Web Services, or something in front of it, answered HTTP {reply.status} without a statusCode",
            http_status=reply.status,
        )
    if body.status_code == OK and not 200 <= reply.status < 300:
        raise UpstreamInvalidReply(
            f"Web Services contradicts itself: statusCode 0 with HTTP {reply.status}", http_status=reply.status
        )
    message = body.status_message[:LONGEST_MESSAGE] if isinstance(body.status_message, str) else None
    return UpstreamReply(reply.status, body.status_code, message)


def challenge(reply: HttpReply) -> Challenge:
    """Return what must be renewed before the request is sent again.

    Source: wire logs (a missing or expired login gives 403 with statusCode 20, never 401) and the CSRF page (403 with
    the text "Missing or invalid Csrf token", as JSON or plain text).
    """
    if reply.status == 403 and b"csrf" in reply.body.lower():
        return Challenge.CSRF
    body = _body(reply)
    if body is None:
        return Challenge.LOGIN if reply.status == 401 else Challenge.NONE
    return Challenge.LOGIN if body.status_code == NOT_AUTHENTICATED else Challenge.NONE


def _body(reply: HttpReply) -> _Body | None:
    try:
        return _DECODER.decode(reply.body)
    except UNDECODABLE:
        return None
