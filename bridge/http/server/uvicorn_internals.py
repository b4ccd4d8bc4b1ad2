"""All uses of private parts of uvicorn, and of h11, uvicorn's HTTP parser.

Written for uvicorn 0.54, the newest version that pyproject.toml allows. Before you allow a newer version, run
tests/unit/test_uvicorn_internals.py with it. Each "Part" below names a private part, and has a test there.
"""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.http.problems.problems import problem

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Iterator


class _StrictHttp(h11.Connection):
    """h11's parser, which also refuses requests with an ambiguous length, because a proxy may read them differently."""

    def next_event(self) -> Any:
        """Return the next parsed event.

        Raises:
            h11.RemoteProtocolError: the data is not HTTP, or the request's length is ambiguous (RFC 9112, section 6.1).
                It is ambiguous with both Content-Length and Transfer-Encoding, and with Transfer-Encoding in HTTP/1.0.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if b"transfer-encoding" in names and (b"content-length" in names or event.http_version < b"1.1"):
                raise h11.RemoteProtocolError("ambiguous length")
        return event


class UvicornConnection(H11Protocol):
    """uvicorn's connection, with methods for its state and a callback when the state may have changed.

    Part: `uvicorn.protocols.http.h11_impl.H11Protocol`, and its attribute `conn`, which `_StrictHttp` replaces. uvicorn
    has no option to refuse an ambiguous length. If uvicorn no longer reads from `conn`, a proxy and the bridge may see
    different requests in the same data (request smuggling).
    """

    def __init__(self, largest_head: int, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = _StrictHttp(h11.SERVER, largest_head)

    def advanced(self) -> None:
        """Called when data has been read or a response has ended. Subclasses override it."""

    def handle_events(self) -> None:
        """Handle the data that has been read.

        Part: `H11Protocol.handle_events`, which uvicorn calls for all data, and after a response. There is no public
        callback for a complete request. If the method is renamed, the bridge closes connections of requests that have
        arrived in time.
        """
        super().handle_events()
        self.advanced()

    def on_response_complete(self) -> None:
        """Read the next request, or close the connection, after a response.

        Part: `H11Protocol.on_response_complete`, which uvicorn calls at the end of each response. There is no public
        callback. If the method is renamed, a connection that responds to an incomplete request and then closes still
        counts as waiting. A new connection may then close it before the response is sent.
        """
        super().on_response_complete()
        self.advanced()

    def is_whole(self) -> bool:
        """Return whether the last request is complete, or no more data can arrive.

        Part: `H11Protocol.conn`, which knows whether the request is complete. uvicorn has no public API for that. If
        the attribute changes, the bridge closes connections of complete requests, or keeps slow connections open.
        """
        return self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}

    def waits(self) -> bool:
        """Return whether the connection is open and waits for data: no complete request is being answered.

        Part: `H11Protocol.cycle`, the last request, with its `response_complete`. uvicorn has no public API for that.
        If they change, the bridge closes connections whose requests are being answered.
        """
        answered = self.cycle is not None and not self.cycle.response_complete
        return not (answered and self.is_whole()) and not self.transport.is_closing()

    def counts(self) -> tuple[int, int]:
        """Return the number of open connections and the number of running requests of this server.

        Part: `H11Protocol.connections` and `.tasks`. uvicorn's own limit (`limit_concurrency`) answers with 503, but
        closes no idle connection. If the attributes change, the number of connections has no limit.
        """
        return len(self.connections), len(self.tasks)

    def cut(self) -> None:
        """Close the connection at once.

        Part: `H11Protocol.transport`. uvicorn's own methods first send the buffered data. If the attribute changes,
        connections of slow callers stay open.
        """
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Respond with a problem to data that is not HTTP, and close the connection.

        Part: `H11Protocol.send_400_response`, and `disconnected` and `message_event` of the last request. uvicorn's own
        method responds with plain text, and raises if another response has begun or follows. No option changes that. If
        these names change, callers get the plain text, or errors appear in the log.
        """
        del msg
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # its response can't be sent any more
            self.cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:  # else another response has begun
            answer = problem(400, "malformed-request", "The request is not valid HTTP.")
            headers = [*answer.raw_headers, (b"connection", b"close")]
            reason = HTTPStatus.BAD_REQUEST.phrase.encode()
            response = h11.Response(status_code=400, headers=headers, reason=reason)
            for event in (response, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def made_by(make: Callable[..., UvicornConnection]) -> type[asyncio.Protocol]:
    """Return `make` as the value of `http` for `uvicorn.Config`, so that uvicorn calls it for each connection.

    Part: `uvicorn.Config.http`, which takes a class or a name. uvicorn only calls it, so a function works too. A class
    has no access to the server's `Room`. If uvicorn starts to use other parts of the class, the bridge can't serve
    requests.
    """
    return cast("type[asyncio.Protocol]", make)


class Server(uvicorn.Server):
    """uvicorn's server without its signal handlers. Calls `started` when it has started."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers, because the command that runs the bridge has its own.

        Part: `uvicorn.Server.capture_signals`. There is no option for that. If the method is renamed, uvicorn handles
        SIGTERM, and the parts of the bridge do not stop in the right order.
        """
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and call `started`.

        Part: `uvicorn.Server.startup`. The public way is to poll the attribute `started`. If the method is renamed, the
        bridge never learns that the server has started.
        """
        await super().startup(sockets)
        self._started()

    def end(self) -> None:
        """Accept no more connections, let requests finish for the configured time, and return from `serve`.

        Part: `uvicorn.Server.should_exit`. The only documented way to end the server is a signal. If the attribute
        changes, the server aborts requests under way when the bridge stops.
        """
        self.should_exit = True
