"""The cookie jar of one account, for long-lived sessions behind balancers.

aiohttp's jar parses, expires and selects cookies. This jar adds a limit in bytes, drops the least important cookies
first, sends values back unchanged, restores the cookies of an earlier process, and writes the same Cookie header only
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from http.cookies import Morsel

    from yarl import URL

LIMIT: Final = 6 * 1024
"""Maximum bytes of all cookies together. Jetty refuses a request with more than 8 KiB of headers, and the path, the
CSRF token and the Authorization header need room too. aiohttp refuses a single cookie over 4 KiB, as browsers do."""
MOST: Final = 100
"""Maximum number of cookies. One reply sets at most 50. With 180 or more, aiohttp would drop cookies by its own
rule."""
SESSION_COOKIES: Final = frozenset({"jsessionid", "bayeux_browser"})
"""Cookies of the login (Servlet specification, 7.1.1) and of the CometD session. Without these cookies the session is
lost."""
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
"""Prefixes of balancers' cookies: AWS, F5, IBM, NetScaler, HAProxy, Apache, nginx, Google, Azure."""

MOST_HEADERS: Final = 100
"""Maximum number of Cookie headers that the jar keeps."""

log = structlog.get_logger(__name__)


class CookieJar(aiohttp.CookieJar):
    """Stores the cookies of requests to `base`, at most `LIMIT` bytes and `MOST` cookies.

    A full jar drops the oldest cookies first. A balancer's cookies are dropped only after all other cookies, and the
    session's cookies last.
    """

    def __init__(self, base: URL) -> None:
        # `unsafe` accepts cookies of a host that is an IP address. Quoting would change the base64 values of balancers.
        # `treat_as_secure_origin`: a server behind a proxy that ends TLS marks its cookies Secure, although the bridge
        # may reach it by plain HTTP.
        super().__init__(unsafe=True, quote_cookie=False, treat_as_secure_origin=base.origin())
        self._base = base
        self._order: dict[str, None] = {}
        """Names of cookies, ordered by the time at which they were last set."""
        self._restored: set[str] = set()
        """Names of cookies that came from an earlier process. Their domain and path are not known."""
        self._warned = False
        self._headers: dict[str, str] = {}
        """The Cookie headers of requests since the last change, by `_beginning`. Empty while a cookie can expire."""
        self._longest_path = 0
        """The length of the longest path of a cookie, when `_headers` was last empty."""
        self._by_name: dict[str, str] | None = None
        """The result of `by_name` since the last change. None while a cookie can expire."""

    def header(self, url: URL) -> str:
        """Return the Cookie header of a request to this URL of `base`'s host.

        The header is empty if no cookie belongs to the URL.
        """
        header = self._headers.get(self._beginning(url))
        if header is None:
            cookies = sorted(self.filter_cookies(url).items())
            header = "; ".join(f"{name}={cookie.coded_value}" for name, cookie in cookies)
            if self._is_lasting() and len(self._headers) < MOST_HEADERS:
                if not self._headers:
                    self._longest_path = max((len(cookie["path"]) for cookie in self), default=0)
                self._headers[self._beginning(url)] = header
        return header

    def _beginning(self, url: URL) -> str:
        """Return the part of the URL's path that decides which cookies belong to the URL.

        The path of a cookie must be the beginning of the URL's path, and must end where a segment ends. So the URLs of
        all records usually have the same header.
        """
        return url.path[: self._longest_path + 1]

    def clear(self, predicate: Callable[[Morsel[str]], bool] | None = None) -> None:
        """Delete all cookies, or those for which `predicate` returns True."""
        self._changed()
        super().clear(predicate)

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        """Store the cookies of a reply's Set-Cookie headers. Malformed headers are ignored."""
        self._changed()
        names = [_name(header) for header in headers]
        # The new cookie may have another domain or path. Then it would not replace the restored cookie of its name.
        outdated = self._restored.intersection(names)
        if outdated:
            self.clear(lambda cookie: cookie.key in outdated)
            self._restored -= outdated
        super().update_cookies_from_headers(headers, response_url)
        self._settle(names)

    def restore(self, cookies: Mapping[str, str]) -> None:
        """Store the cookies that an earlier process got from `by_name`, for requests to the base URL's host only.

        A cookie that can't be sent is ignored.
        """
        self._changed()
        for name, value in cookies.items():
            if ";" not in value:
                super().update_cookies_from_headers([f"{name}={value}; Path=/"], self._base)
                self._settle([name])
        self._restored.update(cookie.key for cookie in self)

    def by_name(self) -> dict[str, str]:
        """Return the value of each cookie by name. If cookies have the same name, the longest path decides."""
        if self._by_name is not None:
            return self._by_name
        cookies = sorted(self, key=lambda cookie: len(cookie["path"]))
        by_name = {cookie.key: cookie.coded_value for cookie in cookies}
        if self._is_lasting():
            self._by_name = by_name
        return by_name

    def forget(self, name: str) -> None:
        """Delete all cookies with this name."""
        self.clear(lambda cookie: cookie.key == name)

    def _changed(self) -> None:
        self._headers.clear()
        self._by_name = None

    def _is_lasting(self) -> bool:
        """Return whether no cookie can expire. Then the cookies change only by a reply or by the bridge."""
        return not any(cookie["max-age"] or cookie["expires"] for cookie in self)

    def _settle(self, names: Iterable[str]) -> None:
        """Call this after cookies with these names were set. Repair their values, and drop surplus cookies.

        Also move these names to the end of the order in which cookies are dropped.
        """
        # By RFC 6265 a semicolon ends the cookie even inside quotes, so a server would see two cookies.
        self.clear(lambda cookie: ";" in cookie.coded_value)
        for cookie in self:
            if cookie.value != cookie.coded_value:  # aiohttp would send the value without its quotes and escapes
                # `Morsel.set` would refuse some names that servers use.
                state = {"key": cookie.key, "value": cookie.coded_value, "coded_value": cookie.coded_value}
                cookie.__setstate__(state)  # type: ignore[attr-defined]
        for name in names:
            self._order.pop(name, None)
            self._order[name] = None
        self._evict()
        kept = {cookie.key for cookie in self}
        self._order = {name: None for name in self._order if name in kept}

    def _evict(self) -> None:
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
    """Return how many bytes the cookie takes in a Cookie header, including `=` and the separator."""
    return len(f"{cookie.key}={cookie.coded_value}; ".encode())


def _rank(name: str) -> int:
    lower = name.lower()
    if lower in SESSION_COOKIES:
        return 2
    return 1 if lower.startswith(BALANCER_COOKIES) else 0
