"""Everything that the bridge uses of uvicorn beyond its public interface, and of h11, by which uvicorn reads HTTP.

Written for uvicorn 0.54; pyproject.toml caps it. tests/unit/test_uvicorn_internals.py has a test for each part: run it
with a newer uvicorn before you raise that cap.
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
    """h11's side of a server, which also refuses a request whose end two readers may see at different places."""

    def next_event(self) -> Any:
        """Return what has been read.

        Raises:
            h11.RemoteProtocolError: it is not HTTP, or its length is ambiguous (RFC 9112, section 6.1): it has
                Content-Length beside Transfer-Encoding, or Transfer-Encoding in HTTP/1.0.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if b"transfer-encoding" in names and (b"content-length" in names or event.http_version < b"1.1"):
                raise h11.RemoteProtocolError("ambiguous length")
        return event


class UvicornConnection(H11Protocol):
    """uvicorn's connection, which tells its state and says when that may have changed.

    Part: `uvicorn.protocols.http.h11_impl.H11Protocol`, and its attribute `conn`, in place of which `_StrictHttp` reads
    HTTP. No option of uvicorn refuses an ambiguous length. If uvicorn reads by another object, a proxy in front and the
    bridge may see different requests (request smuggling).
    """

    def __init__(self, largest_head: int, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = _StrictHttp(h11.SERVER, largest_head)

    def advanced(self) -> None:
        """Hear that something has been read or an answer has ended."""

    def handle_events(self) -> None:
        """Handle what has been read.

        Part: `H11Protocol.handle_events`, which uvicorn calls for all data, and to read on after an answer. No public
        callback says that a request has come whole. If it is renamed, deadlines cut requests that came in time.
        """
        super().handle_events()
        self.advanced()

    def on_response_complete(self) -> None:
        """Go on, or close, after an answer.

        Part: `H11Protocol.on_response_complete`, which uvicorn calls at each answer's end. No public callback says so.
        If it is renamed, a connection that closes before its request has come whole still counts as one that waits: a
        new one may break its answer off.
        """
        super().on_response_complete()
        self.advanced()

    def is_whole(self) -> bool:
        """Whether the last request has come whole, or nothing more can come.

        Part: `H11Protocol.conn`, h11's state of the caller. uvicorn tells it nowhere else. If it changes, deadlines cut
        whole requests or let slow ones stay.
        """
        return self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}

    def waits(self) -> bool:
        """Whether an open connection waits for its caller: no request that has come whole is being answered.

        Part: `H11Protocol.cycle`, the last request, with its `response_complete`. uvicorn tells them nowhere else. If
        they change, the bridge closes connections whose requests are being answered.
        """
        answered = self.cycle is not None and not self.cycle.response_complete
        return not (answered and self.is_whole()) and not self.transport.is_closing()

    def counts(self) -> tuple[int, int]:
        """Return how many connections are open and how many requests are at work in this server.

        Part: `H11Protocol.connections` and `.tasks`. uvicorn's own bound (`limit_concurrency`) answers 503 and closes
        no idle connection. If they change, nothing bounds the connections.
        """
        return len(self.connections), len(self.tasks)

    def cut(self) -> None:
        """End the connection at once.

        Part: `H11Protocol.transport`. uvicorn's own ways of closing send first what waits. If it changes, slow callers
        stay.
        """
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP by a problem, as everything is refused, and close.

        Part: `H11Protocol.send_400_response`, and the last request's `disconnected` and `message_event`. uvicorn
        refuses by a text, and fails where an answer has begun or comes afterwards. No option changes that. If these
        names change, callers get that text, or errors appear in the log.
        """
        del msg
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # whatever it would say now has nobody to hear it
            self.cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:  # else an answer is on its way already
            answer = problem(400, "malformed-request", "The request is not valid HTTP.")
            headers = [*answer.raw_headers, (b"connection", b"close")]
            reason = HTTPStatus.BAD_REQUEST.phrase.encode()
            response = h11.Response(status_code=400, headers=headers, reason=reason)
            for event in (response, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def made_by(make: Callable[..., UvicornConnection]) -> type[asyncio.Protocol]:
    """Let uvicorn make each connection by a function; hand the result to `uvicorn.Config` as `http`.

    Part: `uvicorn.Config.http`, which is for a class or a name: uvicorn only calls it. A class would not know the
    server's `Room`. If uvicorn looks into the class, the bridge doesn't serve.
    """
    return cast("type[asyncio.Protocol]", make)


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which says when it has started; `end` ends it."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the process belongs to the composition root.

        Part: `uvicorn.Server.capture_signals`. No option leaves them alone. If it is renamed, uvicorn takes SIGTERM and
        the bridge doesn't end in its own order.
        """
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so.

        Part: `uvicorn.Server.startup`. The public way is to ask again and again whether it has started. If it is
        renamed, the bridge never hears that it serves.
        """
        await super().startup(sockets)
        self._started()

    def end(self) -> None:
        """Take no more connections, let requests end for as long as the configuration says, and end `serve`.

        Part: `uvicorn.Server.should_exit`. The documented way is a signal. If it changes, requests in flight are broken
        off when the bridge ends.
        """
        self.should_exit = True
