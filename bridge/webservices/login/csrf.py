"""The CSRF header of Web Services. The bridge refuses a header that would change the meaning of a request.

Source: the page CSRF Protection. The reply to any GET has the name and the value of the header that each POST needs.
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
"""The name of an HTTP header (RFC 9110, section 5.6.2) of at most 64 characters."""
_TOKEN: Final = re.compile(r"[!-~]([ -~]{0,1022}[!-~])?", re.ASCII)
"""Printable ASCII of at most 1 KiB. Jetty accepts 8 KiB of headers in all."""
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
"""Headers that HTTP needs, headers that the bridge sets, and headers that tell a proxy to change the request."""
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
    """Return the header that each POST needs, from the headers of a GET's reply.

    The result is empty if the reply has no CSRF header, because the protection is off then. The result is None if the
    reply has a CSRF header that can't be used.
    """
    name, token = advertised.get(NAME), advertised.get(TOKEN)
    if not name or not token:
        return NO_HEADERS
    lower = name.lower()
    if lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES):
        return None
    return {name: token} if _NAME.fullmatch(name) and _TOKEN.fullmatch(token) else None
