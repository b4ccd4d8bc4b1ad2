"""A forwarding proxy with the faults of the simulator, to stand before a real server."""

from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from bridge.simulator.fault_middleware import body_of, close_without_reply, fault_middleware
from bridge.simulator.faults import Faults

# RFC 9110, section 7.6.1; Content-Length is made anew from the body.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
)
_LONGEST_POLL = 120.0  # s
_LARGEST_REQUEST = 1 << 30  # bytes
_SHUTDOWN = 0.05  # s


class FaultProxy:
    """Forward every request to `upstream_url` (scheme, host, port), with faults in between.

    Cookies and headers pass both ways untouched. When the client goes away, the upstream request is aborted; when the
    upstream is unreachable or hangs up, the client's connection closes without a reply.
    """

    def __init__(self, upstream_url: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._upstream = upstream_url.rstrip("/")
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None
        self.faults = Faults()

    @property
    def url(self) -> str:
        """The proxy's own base URL; known from the start on."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen; after a stop, on the same port again."""
        self._client = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=_LONGEST_POLL, sock_connect=5.0),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        app = web.Application(middlewares=[fault_middleware(self.faults)], client_max_size=_LARGEST_REQUEST)
        app.router.add_route("*", "/{path:.*}", self._forward)
        # handler_cancellation: a client that goes away ends the poll that it had parked upstream.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and drop every connection, to both sides."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _forward(self, request: web.Request) -> web.Response:
        if self._client is None:
            return close_without_reply(request)
        target = URL(self._upstream + request.raw_path, encoded=True)
        try:
            async with self._client.request(
                request.method,
                target,
                headers=_end_to_end(request.headers),
                data=await body_of(request) or None,
                allow_redirects=False,
            ) as reply:
                return web.Response(status=reply.status, body=await reply.read(), headers=_end_to_end(reply.headers))
        except (aiohttp.ClientError, TimeoutError):
            return close_without_reply(request)


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """All headers but those of the one connection; repeated ones (Set-Cookie) stay repeated."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP)
