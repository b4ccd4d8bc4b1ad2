"""Finds out whether Web Services answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    from bridge.cometd import HttpSession

PATH: Final = "/api/v2/version"
TIMEOUT: Final = 3.0
BALANCER_FAILURES: Final = frozenset({502, 503, 504})
"""HTTP statuses by which a balancer or proxy reports that it can't reach Web Services."""


async def answers(http: HttpSession) -> bool:
    """Send a request to Web Services, and return within 3 s whether any answer came, even a refusal.

    The request has a separate HTTP session, because its answer may set cookies that an account's session must not get.
    """
    try:
        reply = await http.request("GET", PATH, timeout=TIMEOUT)
    except ExchangeFailed:
        return False
    return reply.status not in BALANCER_FAILURES
