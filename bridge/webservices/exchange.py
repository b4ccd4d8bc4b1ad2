"""Sends one REST request to Web Services. Failures become a `bridge.errors.UpstreamError`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.cometd import NO_HEADERS
from bridge.errors import ExchangeFailed, UpstreamInvalidReply, UpstreamTimeout, UpstreamUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.cometd import HttpReply, HttpSession

LARGEST_REPLY: Final = 1 << 20
"""Maximum bytes of a reply, after decompression. A verdict has a few hundred bytes, and a profile about ten thousand.

The limit is low, because dozens of replies can be in memory at the same time."""


async def exchange(
    http: HttpSession,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
    timeout: float,  # noqa: ASYNC109 -- the deadline belongs to the exchange, whose failure it names
) -> HttpReply:
    """Send one request and return its reply with any HTTP status. `timeout` is in seconds.

    Raises:
        UpstreamUnreachable: there is no connection, or the connection ended before the reply (then `sent` is True).
        UpstreamTimeout: the whole reply did not arrive in time.
        UpstreamInvalidReply: the reply is not HTTP, or has more than `LARGEST_REPLY` bytes.
    """
    try:
        return await http.request(method, path, body=body, headers=headers, timeout=timeout, largest=LARGEST_REPLY)
    except ExchangeFailed as error:
        match error.reason:
            case "timeout":
                raise UpstreamTimeout(f"Web Services did not answer within {timeout:g} s") from None
            case "garbled":
                raise UpstreamInvalidReply("Web Services sent a reply that is not valid HTTP", http_status=0) from None
            case "reply-too-large":
                raise UpstreamInvalidReply(
                    f"Web Services sent a reply of more than {LARGEST_REPLY} bytes", http_status=0
                ) from None
            case "cut":
                raise UpstreamUnreachable(
                    "Web Services closed the connection before its reply was complete", sent=True
                ) from None
            case _:
                fault = None if error.reason == "unreachable" else error.reason
                raise UpstreamUnreachable(
                    f"Web Services can't be reached: {error}", sent=error.sent, fault=fault
                ) from None
