"""Whether Web Services answers at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    from bridge.cometd import HttpSession

PATH: Final = "/api/v2/version"
TIMEOUT: Final = 3.0
BALANCER_FAILURES: Final = frozenset({502, 503, 504})
"""How a balancer, or a proxy on the way, says that it does not reach Web Services."""


async def answers(http: HttpSession) -> bool:
    """Ask Web Services for anything, and tell whether it answers, be it with a refusal; takes 3 s at the most.

    Ask in an HTTP session of its own: the answer may set cookies that an account's session must not get.
    """
    try:
        reply = await http.request("GET", PATH, timeout=TIMEOUT)
    except ExchangeFailed:
        return False
    return reply.status not in BALANCER_FAILURES
