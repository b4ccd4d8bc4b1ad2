"""The HTTP client of an account. REST and CometD share its connections and cookies.

Cookies identify the balancer's server, the login (JSESSIONID) and the CometD session (BAYEUX_BROWSER). So all requests
of an account use the same `HttpSession`, and two accounts never share one.
"""

from __future__ import annotations

import asyncio
import os
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, Self

import aiohttp
from yarl import URL

from bridge import tls
from bridge.cometd.http.cookies import CookieJar
from bridge.cometd.http.incoming import MAX_REPLY_BYTES, HttpReply, IncomingReply, OnlyOwnCancellation
from bridge.cometd.http.route import DIRECT
from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType

    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from bridge.cometd.http.route import Route

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
CONTENT_TYPE: Final = "application/json; charset=UTF-8"
CONNECTIONS: Final = 64
"""Maximum number of connections of one account. Callers with many requests must use fewer, so that one stays free for
the poll."""
KEEP_ALIVE: Final = 15.0
"""Seconds until the bridge closes an idle connection. Jetty closes an idle connection after 30 s, which could cut off a
POST."""
PROXY_WANTS_LOGIN: Final = 407
READ_BUFFER: Final = 1 << 20
"""Bytes of aiohttp's buffer. A small buffer makes the transfer of a long reply slow. aiohttp decompresses at most this
many bytes at once, and keeps at most twice as many unread bytes."""
ENCODINGS: Final = "gzip, deflate"
"""Compressions that replies may use. By default aiohttp's choice depends on the installed packages."""
_sent: ContextVar[bool] = ContextVar("sent", default=False)
"""Whether the request that this task makes now was perhaps sent."""


class Credentials(Protocol):
    """The methods of the account's login that a CometD session uses."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers that a CometD POST needs besides the cookies. Log in first if necessary.

        Raises:
            LoginRefused: the account's name or password is wrong. The login retries later.
            UpstreamError: the login failed.
        """
        ...

    async def challenged(self, reply: HttpReply, *, sent_at: float) -> bool:
        """Renew the login or the CSRF token after a reply with status 401 or 403.

        Return whether the caller should send the request again. `sent_at` is when the request was sent
        (`time.monotonic`). A login that is newer than the request is not renewed.

        Raises:
            LoginRefused: the account's name or password is wrong. The login retries later.
            UpstreamError: the login failed.
        """
        ...


class HttpSession:
    """The connections and cookies of one account; an asynchronous context manager.

    `request_timeout` (s) is the deadline for connecting. At most `connections` are open at the same time. `route` has
    the certificates and the proxy. At most `max_reply_bytes` of a reply (after decompression) are in memory.
    """

    def __init__(
        self,
        base_url: str,
        *,
        request_timeout: float,
        connections: int = CONNECTIONS,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        route: Route = DIRECT,
    ) -> None:
        self._base = URL(base_url.rstrip("/"), encoded=True)
        self._prefix = str(self._base)
        """The beginning of every URL, as text."""
        self._request_timeout = request_timeout
        self._connections = connections
        self._max_reply_bytes = max_reply_bytes
        self._route = route
        self._proxy_headers: Mapping[str, str] = NO_HEADERS
        if route.proxy_authorization is not None:
            self._proxy_headers = {"Proxy-Authorization": route.proxy_authorization}
        self._tls: ssl.SSLContext | None = None
        """Made at the first request, and again after a TLS failure, because the files may have new certificates."""
        self._client: aiohttp.ClientSession | None = None
        self._cookies: CookieJar | None = None

    async def __aenter__(self) -> Self:
        self._cookies = CookieJar(self._base)
        self._client = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),  # `exchange` writes and reads the cookies' headers
            headers={"Accept-Encoding": ENCODINGS},
            connector=_Connector(limit=self._connections, keepalive_timeout=KEEP_ALIVE),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._request_timeout),
            read_bufsize=READ_BUFFER,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        client, self._client = self._opened(), None
        self._cookies = None
        await client.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        timeout: float,  # noqa: ASYNC109 -- the deadline belongs to the exchange, whose failure it names
        largest: int | None = None,
    ) -> HttpReply:
        """Send one request and read its whole reply, within `timeout` seconds.

        Only the HTTP status 407 raises an error.

        `path` begins with / and is already percent-encoded. The content type of a body is JSON unless `headers` has
        another one. Redirects are not followed, because the account's cookies could then leave Web Services. `largest`
        (bytes after decompression) can only lower `max_reply_bytes`.

        Raises:
            ExchangeFailed: the request failed. `reason` of the error, if the request was not sent to Web Services:
                `unreachable` (no connection), `proxy-refused`, or a key of `bridge.tls.TEXTS`. `reason` in other cases:
                `timeout` (no whole reply in time), `cut` (the connection ended before the end of the reply), `garbled`
                (the reply is not HTTP), or `reply-too-large`.
        """
        with await self.exchange(method, path, body=body, headers=headers, timeout=timeout) as reply:
            return await reply.whole(largest)

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        timeout: float,  # noqa: ASYNC109 -- the deadline belongs to the exchange, whose failure it names
    ) -> IncomingReply:
        """Send one request, and return its reply as soon as the headers have arrived.

        Use the reply in a `with` block, which may leave parts of the body unread. The arguments and errors are the same
        as those of `request`. Methods of the reply raise the same errors.
        """
        client, jar = self._opened(), self._jar()
        url = URL(self._prefix + path, encoded=True)
        sent_headers = {**headers} if body is None else {"Content-Type": CONTENT_TYPE, **headers}
        if cookies := jar.header(url):
            sent_headers["Cookie"] = cookies
        secure = self._base.scheme == "https"
        if not secure:  # without TLS the proxy reads this request, not a CONNECT request before it
            sent_headers |= self._proxy_headers

        def failure(error: Exception, *, sent: bool = True) -> ExchangeFailed:
            return self._failure(error, sent=sent, timeout=timeout)

        _sent.set(False)
        until = asyncio.get_running_loop().time() + timeout
        try:
            if secure and self._tls is None:
                self._tls = self._route.context()
            async with asyncio.timeout_at(until), OnlyOwnCancellation():
                response = await client.request(
                    method,
                    url,
                    data=body,
                    headers=sent_headers,
                    allow_redirects=False,
                    ssl=self._tls or True,
                    proxy=self._route.proxy,
                    proxy_headers=self._proxy_headers,
                )
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise failure(error, sent=_sent.get()) from None
        if set_cookies := response.headers.getall("Set-Cookie", ()):
            jar.update_cookies_from_headers(set_cookies, url)
        reply = IncomingReply(response, until=until, limit=self._max_reply_bytes, failure=failure)
        if reply.status == PROXY_WANTS_LOGIN:
            with reply:
                raise _proxy_refused(reply.status)
        return reply

    def _failure(self, error: Exception, *, sent: bool, timeout: float) -> ExchangeFailed:
        fault = tls.fault(error, self._route.certificate_file)
        if fault is None or (sent and fault == tls.FAILED):
            return _failure(error, sent=sent, timeout=timeout)
        # Every other fault means that the handshake failed. With TLS 1.3 a failed handshake may show only after the
        # request was written.
        self._tls = None
        return ExchangeFailed(fault, tls.TEXTS[fault], sent=False)

    def cookies(self) -> dict[str, str]:
        """Return the account's cookies by name. The cookies are secrets."""
        return self._jar().by_name()

    def restore_cookies(self, cookies: Mapping[str, str]) -> None:
        """Store the cookies that an earlier process got from `cookies()`, for requests to the base URL's host only.

        A cookie that can't be sent is ignored. No error is raised because of what `cookies` contains.
        """
        self._jar().restore(cookies)

    def forget_cookie(self, name: str) -> None:
        """Delete the cookies of this name, if there are any."""
        self._jar().forget(name)

    def forget_cookies(self) -> None:
        """Drop all cookies, so that the next request begins a new session."""
        self._jar().clear()

    def _jar(self) -> CookieJar:
        if self._cookies is None:
            raise RuntimeError("HttpSession is used outside its context")
        return self._cookies

    def _opened(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise RuntimeError("HttpSession is used outside its context")
        return self._client


class _Connector(aiohttp.TCPConnector):
    """Records in `_sent` that a request has got its connection.

    From then on the server may do what the request asks, even if the connection fails. aiohttp's tracing could record
    this too, but would call a dozen functions for each request.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 -- the signature of aiohttp
    ) -> Connection:
        """See `aiohttp.TCPConnector`."""
        connection = await super().connect(req, traces, timeout)
        _sent.set(True)
        return connection


def _failure(error: Exception, *, sent: bool, timeout: float) -> ExchangeFailed:
    """Return the error for a failed exchange. Its text has no URL and no headers, which can contain secrets."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_refused(error.status)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return ExchangeFailed("unreachable", f"no connection to the proxy ({_cause(error)})", sent=False)
    if not sent:
        return ExchangeFailed("unreachable", f"no connection ({_cause(error)})", sent=False)
    if isinstance(error, TimeoutError):
        return ExchangeFailed("timeout", f"no whole reply within {timeout:g} s")
    if isinstance(error, aiohttp.ClientResponseError):
        return ExchangeFailed("garbled", "the reply is not HTTP")
    return ExchangeFailed("cut", f"the connection ended before the reply was complete ({type(error).__name__})")


def _proxy_refused(status: int) -> ExchangeFailed:
    """Return the error for a proxy's reply. A retry may succeed after a status 5xx, but after no other status."""
    reason = "unreachable" if status >= 500 else "proxy-refused"
    return ExchangeFailed(reason, f"the proxy answers with HTTP {status}", sent=False)


def _cause(error: Exception) -> str:
    """Return the operating system's text for the error, without the address that Python adds."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno > 0 else error.strerror or type(error).__name__
    return type(error).__name__
