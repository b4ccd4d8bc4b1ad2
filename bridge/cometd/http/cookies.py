"""The cookies of one account: kept as they came, never more than one request can carry.

aiohttp's jar parses, expires and selects cookies. This module adds what a long-lived session behind a balancer needs: a
limit in bytes, an order in which cookies go, values that are sent back unchanged, and a restore that can't fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp
import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from http.cookies import Morsel

    from yarl import URL

LIMIT: Final = 6 * 1024
"""Bytes of all names and values together. Jetty refuses a request whose headers have more than 8 KiB in all, and the
path, the CSRF token and the Authorization header need room too. aiohttp refuses a single cookie over 4 KiB, as browsers
do."""
MOST: Final = 100
"""Cookies. One reply sets at most 50, and from 180 on aiohttp would drop cookies in an order of its own."""
SESSION_COOKIES: Final = frozenset({"jsessionid", "bayeux_browser"})
"""The login (Servlet specification, 7.1.1) and the CometD session: without them the session is lost."""
BALANCER_COOKIES: Final = (
    "awsalb",
    "awselb",
    "bigipserver",
    "isawplb",
    "nsc_",
    "serverid",
    "srv",
    "routeid",
    "route",
    "ingresscookie",
    "gclb",
    "arraffinity",
)
"""How the names of common balancers' cookies begin: AWS, F5, IBM, NetScaler, HAProxy, Apache, nginx, Google, Azure."""

log = structlog.get_logger(__name__)


class CookieJar(aiohttp.CookieJar):
    """Keeps the cookies of requests to `base`.

    Beyond `LIMIT` bytes, or `MOST` cookies, those that were set longest ago go first. Cookies of balancers go after all
    others, and those of the session last.
    """

    def __init__(self, base: URL) -> None:
        # unsafe: else the cookies of a host given as IP address are dropped. No quoting: it would change the base64
        # values of balancers. Secure origin: a server behind a proxy that ends TLS marks its cookies Secure, although
        # the bridge may reach it by plain HTTP.
        super().__init__(unsafe=True, quote_cookie=False, treat_as_secure_origin=base.origin())
        self._base = base
        self._order: dict[str, None] = {}
        """Names, in the order in which they were last set."""
        self._restored: set[str] = set()
        """Names of cookies that came from a predecessor, whose domain and path are not known."""
        self._warned = False

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        """Take the Set-Cookie headers of a reply; what is malformed is left out."""
        names = [_name(header) for header in headers]
        # The server's cookie may have another domain or path: the restored one would stay beside it, and be sent.
        outdated = self._restored.intersection(names)
        if outdated:
            self.clear(lambda cookie: cookie.key in outdated)
            self._restored -= outdated
        super().update_cookies_from_headers(headers, response_url)
        self._settle(names)

    def restore(self, cookies: Mapping[str, str]) -> None:
        """Take over a predecessor's cookies, as its `by_name` gave them; they go to the base URL's host only.

        A cookie that can't be sent is left out.
        """
        for name, value in cookies.items():
            if ";" not in value:
                super().update_cookies_from_headers([f"{name}={value}; Path=/"], self._base)
                self._settle([name])
        self._restored.update(cookie.key for cookie in self)

    def by_name(self) -> dict[str, str]:
        """Return the cookies; of two that have the same name the one with the longest path, which requests carry."""
        return {cookie.key: cookie.coded_value for cookie in sorted(self, key=lambda cookie: len(cookie["path"]))}

    def forget(self, name: str) -> None:
        """Drop a cookie, where there is one."""
        self.clear(lambda cookie: cookie.key == name)

    def _settle(self, names: Iterable[str]) -> None:
        """Bring the jar in order after the cookies of these names were set."""
        # A semicolon in quotes would end the cookie for servers that keep to RFC 6265, and begin another one.
        self.clear(lambda cookie: ";" in cookie.coded_value)
        for cookie in self:
            if cookie.value != cookie.coded_value:  # aiohttp would send the value without its quotes and escapes
                # Not `Morsel.set`: it refuses names that servers use.
                state = {"key": cookie.key, "value": cookie.coded_value, "coded_value": cookie.coded_value}
                cookie.__setstate__(state)  # type: ignore[attr-defined]
        for name in names:
            self._order.pop(name, None)
            self._order[name] = None
        self._evict()
        kept = {cookie.key for cookie in self}
        self._order = {name: None for name in self._order if name in kept}

    def _evict(self) -> None:
        """Drop cookies until the rest fits into a request."""
        left, size = len(self), sum(map(_size, self))
        if left <= MOST and size <= LIMIT:
            return
        age = {name: index for index, name in enumerate(self._order)}
        gone: set[int] = set()
        for cookie in sorted(self, key=lambda cookie: (_rank(cookie.key), age.get(cookie.key, 0))):
            if left <= MOST and size <= LIMIT:
                break
            gone.add(id(cookie))
            left, size = left - 1, size - _size(cookie)
        self.clear(lambda cookie: id(cookie) in gone)
        if not self._warned:
            self._warned = True
            log.warning("cookies-over-limit", limit_bytes=LIMIT, effect="the oldest cookies are dropped")


def _name(header: str) -> str:
    return header.partition(";")[0].partition("=")[0].strip(" \t")


def _size(cookie: Morsel[str]) -> int:
    """Bytes of the cookie in a Cookie header, with `=` and the separator."""
    return len(f"{cookie.key}={cookie.coded_value}; ".encode())


def _rank(name: str) -> int:
    lower = name.lower()
    if lower in SESSION_COOKIES:
        return 2
    return 1 if lower.startswith(BALANCER_COOKIES) else 0
