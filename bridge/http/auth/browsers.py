"""Refuses requests that a web page of another site sends to the bridge through a user's browser.

A page can make the browser post to any address (cross-site request forgery). The page's owner can also make the page's
host name resolve to the bridge's address (DNS rebinding). Both attacks work if the bridge has no authentication, as on
loopback.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.http.problems.problems import problem
from bridge.http.problems.types import FOREIGN_HOST, FOREIGN_ORIGIN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from bridge.settings import Http

ANY_HOST: Final = "*"
LOOPBACK: Final = "localhost"
HARMLESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES: Final = frozenset({"same-origin", "none"})
"""The values of Sec-Fetch-Site for requests that no other site has caused."""
OPEN: Final = ("/health/", "/metrics")
"""Paths that are not checked. Probes and Prometheus use many host names, and their requests change nothing."""
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\\\s,]+)(?::([0-9]{1,5}))?")
_ORIGIN: Final = re.compile(r"(https?)://(.+)")
_PORTS: Final = {"http": 80, "https": 443}


class _Authority(NamedTuple):
    name: str
    port: int | None


def allowed_hosts(settings: Http) -> frozenset[str] | None:
    """Return the host names that requests may be sent to, None for all.

    With authentication the default is None, because a page of another site has no token.
    """
    names = settings.allowed_hosts
    if ANY_HOST in names or (not names and settings.authentication.method != "none"):
        return None
    return frozenset({LOOPBACK, settings.host.lower(), *names})


class BrowserGuard:
    """ASGI middleware that checks the headers Host, Origin and Sec-Fetch-Site before all other middleware.

    Starlette's TrustedHostMiddleware can't allow all IP addresses, does not check Origin, and answers in plain text.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with 403 or 421."""
        if scope["type"] != "http" or scope["path"].startswith(OPEN):
            await self._app(scope, receive, send)
            return
        sent = _checked_headers(scope)
        if not self._is_allowed(host := _authority(sent[b"host"])):
            await problem(421, "foreign-host", FOREIGN_HOST)(scope, receive, send)
        elif _is_foreign(scope["method"], sent, host):
            await problem(403, "foreign-origin", FOREIGN_ORIGIN)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_allowed(self, host: _Authority | None) -> bool:
        # IP addresses are allowed because DNS rebinding needs a host name.
        return self._hosts is None or (host is not None and (host.name in self._hosts or _is_address(host.name)))


def _is_foreign(method: str, sent: Mapping[bytes, Sequence[str]], host: _Authority | None) -> bool:
    if method not in HARMLESS and not OWN_SITES.issuperset(sent[b"sec-fetch-site"]):
        return True
    origins = sent[b"origin"]
    if not origins:
        return False
    found = _ORIGIN.fullmatch(origins[0]) if len(origins) == 1 else None
    origin = _authority([found[2]]) if found is not None else None
    if found is None or origin is None or host is None:
        return True
    usual = _PORTS[found[1]]
    return (origin.name, origin.port or usual) != (host.name, host.port or usual)


def _checked_headers(scope: Scope) -> dict[bytes, list[str]]:
    """Return all values of each header that the guard checks."""
    sent: dict[bytes, list[str]] = {b"host": [], b"origin": [], b"sec-fetch-site": []}
    for name, value in scope["headers"]:
        if name in sent:
            sent[name].append(value.decode("latin-1").strip())
    return sent


def _authority(values: Sequence[str]) -> _Authority | None:
    found = _AUTHORITY.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        return None
    return _Authority(found[1].lower().removesuffix("."), int(found[2]) if found[2] else None)


@lru_cache(maxsize=256)
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
