"""The CSRF header that Web Services advertises, taken only where it can't change the request itself.

Source: the page CSRF Protection: any GET tells the name and the value of the header that each POST must carry.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bridge.cometd import NO_HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "X-CSRF-HEADER"
TOKEN: Final = "X-CSRF-TOKEN"  # noqa: S105 -- a header's name
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
"""A token of RFC 9110, section 5.6.2."""
_TOKEN: Final = re.compile(r"[!-~]([ -~]{0,1022}[!-~])?", re.ASCII)
"""Printable ASCII, 1 KiB at most: Jetty takes 8 KiB of headers in all."""
_RESERVED: Final = frozenset(
    {
        "authorization",
        "baggage",
        "cache-control",
        "connection",
        "cookie",
        "cookie2",
        "date",
        "expect",
        "forwarded",
        "from",
        "host",
        "http2-settings",
        "keep-alive",
        "max-forwards",
        "method-override",
        "origin",
        "pragma",
        "range",
        "referer",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "upgrade",
        "user-agent",
        "via",
        "x-real-ip",
    }
)
"""Headers that frame the message, belong to the bridge, or change what the request means to a server on the way."""
_RESERVED_PREFIXES: Final = (
    "accept",
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "set-cookie",
    "transfer-",
    "x-forwarded",
    "x-http-method",
    "x-method-override",
    "x-original-",
    "x-rewrite-",
)


def csrf_header(advertised: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return the header that a POST must carry, from the headers of a GET's reply.

    Empty where the reply advertises none: then the protection is off. None where what it advertises can't be used.
    """
    name, token = advertised.get(NAME), advertised.get(TOKEN)
    if not name or not token:
        return NO_HEADERS
    lower = name.lower()
    if lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES):
        return None
    return {name: token} if _NAME.fullmatch(name) and _TOKEN.fullmatch(token) else None
