"""The one HTTP client of an account: REST and CometD share its connections and its cookies.

Sticky balancers, the login (JSESSIONID) and the CometD session (BAYEUX_BROWSER) all live in cookies, so whatever talks
to Web Services for an account goes through one `HttpSession`, and two accounts never share one.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Final, Protocol, Self, cast

import aiohttp
from yarl import URL

from bridge import tls
from bridge.cometd.http.cookies import CookieJar
from bridge.cometd.http.incoming import MAX_REPLY_BYTES, HttpReply, IncomingReply, only_own_cancellation
from bridge.cometd.http.route import DIRECT
from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

    from bridge.cometd.http.route import Route

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
CONTENT_TYPE: Final = "application/json; charset=UTF-8"
CONNECTIONS: Final = 64
"""Of one account. Callers that send many requests at once bound themselves below this: the poll must find one free."""
KEEP_ALIVE: Final = 15.0
"""Seconds an idle connection is kept: under Jetty's idle timeout (30 s), else a POST meets a closing connection."""
PROXY_WANTS_LOGIN: Final = 407
READ_BUFFER: Final = 1 << 20
"""Bytes: a reply after an outage can have a hundred megabytes, and small buffers pause the socket for each. aiohttp
decompresses at most this much at a time, and holds at most twice as much of what nobody has read."""
ENCODINGS: Final = "gzip, deflate"
"""What replies may be compressed with; aiohttp would also ask for what happens to be installed."""


class Credentials(Protocol):
    """What a CometD session needs of the account's login."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers that a CometD POST needs besides the cookies; log in first where that is due.

        Raises:
            LoginRefused: the account's password is wrong; tried again later.
            UpstreamError: the login could not be done now.
        """
        ...

    async def challenged(self, reply: HttpReply, *, sent_at: float) -> bool:
        """Renew what a reply with status 401 or 403 asks for; return whether sending the request again makes sense.

        `sent_at` is when the request was sent (`time.monotonic`): perhaps there is a newer login already.

        Raises:
            LoginRefused: the account's password is wrong; tried again later.
            UpstreamError: the login could not be done now.
        """
        ...


class HttpSession:
    """Connections and cookies of one account; an asynchronous context manager.

    `request_timeout` (s) bounds how long connecting may take, even for the long poll, which itself may take longer.
    At most `connections` are open at a time. `route` says how they get there. `max_reply_bytes` bounds what is held of
    one reply, after decompression.
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
        self._request_timeout = request_timeout
        self._connections = connections
        self._max_reply_bytes = max_reply_bytes
        self._route = route
        self._proxy_headers: Mapping[str, str] = NO_HEADERS
        if route.proxy_authorization is not None:
            self._proxy_headers = {"Proxy-Authorization": route.proxy_authorization}
        self._tls: ssl.SSLContext | None = None
        """Made at the first request, and again after a failure of TLS: certificates get renewed."""
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        sent = aiohttp.TraceConfig(SimpleNamespace)
        sent.on_request_headers_sent.append(_headers_sent)
        self._client = aiohttp.ClientSession(
            cookie_jar=CookieJar(self._base),
            headers={"Accept-Encoding": ENCODINGS},
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._request_timeout),
            read_bufsize=READ_BUFFER,
            trace_configs=[sent],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        client, self._client = self._opened(), None
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
        """Send one request and read its whole reply, within `timeout` seconds. Any HTTP status is a reply.

        `path` begins with / and is already percent-encoded. A body is sent as JSON unless `headers` say otherwise.
        Redirects are not followed: one that leads away from Web Services would take the account's cookies along.
        `largest` (bytes after decompression) bounds this reply, where it is less than `max_reply_bytes`.

        Raises:
            ExchangeFailed: `unreachable` (no connection, nothing was sent), `proxy-refused` or a word of
                `bridge.tls.TEXTS` (nothing was sent either), `timeout` (sent, no whole reply in time), `cut` (sent, the
                connection ended before the reply did), `garbled` (sent, the reply is not HTTP), `reply-too-large`
                (sent, the reply is longer than allowed; the rest was not read).
        """
        async with self.exchange(method, path, body=body, headers=headers, timeout=timeout) as reply:
            return await reply.whole(largest)

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        timeout: float,  # noqa: ASYNC109 -- the deadline belongs to the exchange, whose failure it names
    ) -> AsyncIterator[IncomingReply]:
        """Send one request, and give its reply while the body is on the wire; at the block's end the rest is dropped.

        Arguments and errors are those of `request`; the reply raises the same while it is read. What the block raises
        for itself comes out as it is.
        """
        client = self._opened()
        progress = SimpleNamespace(sent=False)
        if body is not None:
            headers = {"Content-Type": CONTENT_TYPE, **headers}
        secure = self._base.scheme == "https"
        if not secure:  # a proxy reads the request itself then, not one for a tunnel before it
            headers = {**headers, **self._proxy_headers}

        def failure(error: Exception) -> ExchangeFailed:
            return self._failure(error, sent=progress.sent, timeout=timeout)

        until = asyncio.get_running_loop().time() + timeout
        try:
            if secure and self._tls is None:
                self._tls = self._route.context()
            async with asyncio.timeout_at(until), only_own_cancellation():
                response = await client.request(
                    method,
                    URL(f"{self._base}{path}", encoded=True),
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    ssl=self._tls or True,
                    proxy=self._route.proxy,
                    proxy_headers=self._proxy_headers,
                    trace_request_ctx=progress,
                )
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise failure(error) from None
        try:
            if response.status == PROXY_WANTS_LOGIN:
                raise _proxy_refused(response.status)
            yield IncomingReply(response, until=until, limit=self._max_reply_bytes, failure=failure)
        finally:
            response.close()  # where the body has ended, its connection is free for others already

    def _failure(self, error: Exception, *, sent: bool, timeout: float) -> ExchangeFailed:
        fault = tls.fault(error, self._route.certificate_file)
        if fault is None or (sent and fault == tls.FAILED):
            return _failure(error, sent=sent, timeout=timeout)
        # Each of the others says that the handshake failed, with TLS 1.3 perhaps after the request was written.
        self._tls = None
        return ExchangeFailed(fault, tls.TEXTS[fault], sent=False)

    def cookies(self) -> dict[str, str]:
        """Return the account's cookies by name; secret."""
        return self._jar().by_name()

    def restore_cookies(self, cookies: Mapping[str, str]) -> None:
        """Take over a predecessor's cookies, as its `cookies()` gave them; they go to the base URL's host only.

        A cookie that can't be sent is left out; nothing in `cookies` raises.
        """
        self._jar().restore(cookies)

    def forget_cookie(self, name: str) -> None:
        """Drop a cookie, where there is one."""
        self._jar().forget(name)

    def forget_cookies(self) -> None:
        """Drop all cookies: the next request begins a session of its own."""
        self._jar().clear()

    def _jar(self) -> CookieJar:
        return cast("CookieJar", self._opened().cookie_jar)

    def _opened(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise RuntimeError("HttpSession is used outside its context")
        return self._client


async def _headers_sent(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    """From here on the server may act on the request, whatever happens to the connection."""
    context.trace_request_ctx.sent = True


def _failure(error: Exception, *, sent: bool, timeout: float) -> ExchangeFailed:
    """Name a failed exchange by its cause. Neither URL nor headers get into the text: they can hold secrets."""
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
    return ExchangeFailed("cut", f"the connection ended before the reply did ({type(error).__name__})")


def _proxy_refused(status: int) -> ExchangeFailed:
    """A 5xx means that the proxy can't reach the server now; it may soon.

    Any other status means that the proxy refuses, and a person must act.
    """
    reason = "unreachable" if status >= 500 else "proxy-refused"
    return ExchangeFailed(reason, f"the proxy answers with HTTP {status}", sent=False)


def _cause(error: Exception) -> str:
    """Name an operating system's error in its words, without the address that Python adds."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno > 0 else error.strerror or type(error).__name__
    return type(error).__name__
