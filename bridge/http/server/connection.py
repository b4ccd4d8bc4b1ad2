"""One connection of a caller: cut where it takes too long, and closed where another one needs its place.

uvicorn has a deadline only between two requests: none for a request's head, for a body that nobody reads any more, and
for an answer that the caller does not take. What the bridge needs of uvicorn's and h11's inner parts is all here.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.http.problems.problems import problem

if TYPE_CHECKING:
    import asyncio

REQUEST_DEADLINE: Final = 15.0
"""Seconds from a connection's start, or a further request's first byte, until the request has come whole: a body that
is late gets its 408 before (`BODY_DEADLINE`)."""
ANSWER_DEADLINE: Final = 15.0
"""Seconds that a caller may leave an answer untaken."""
LARGEST_HEAD: Final = 16 * 1024
"""Bytes of a head, or of a chunk's, that has not come whole yet."""
MOST_CONNECTIONS: Final = 1024
"""Connections at the same time, and requests: what waits is bounded by this, whoever calls."""


class Room:
    """The connections of one server that wait for their callers, the longest waiting first.

    No request of theirs is being answered: they are idle, or their request has not come whole. Where there are
    MOST_CONNECTIONS, the first of them is closed for each new connection.
    """

    def __init__(self) -> None:
        self._waiting: dict[Connection, None] = {}

    def settle(self, connection: Connection, *, waits: bool) -> None:
        """Take down whether the connection waits; what it sends meanwhile doesn't make it younger."""
        if waits:
            self._waiting.setdefault(connection)
        else:
            self._waiting.pop(connection, None)

    def make_place(self) -> bool:
        """Close the connection that waits longest; False where none does."""
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        del self._waiting[oldest]
        oldest.transport.abort()
        return True


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


class Connection(H11Protocol):
    """uvicorn's connection, with the deadlines and the bound that it lacks."""

    def __init__(self, room: Room, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = _StrictHttp(h11.SERVER, LARGEST_HEAD)
        self._room = room
        self._request: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, in the place of one that waits where the room is full; close it where none waits."""
        super().connection_made(transport)
        # Requests whose callers have gone may still be at work.
        full = len(self.tasks) >= 2 * MOST_CONNECTIONS
        if full or (len(self.connections) > MOST_CONNECTIONS and not self._room.make_place()):
            transport.abort()
        else:
            self._request = self.loop.call_later(REQUEST_DEADLINE, transport.abort)
            self._room.settle(self, waits=True)

    def data_received(self, data: bytes) -> None:
        """Read on; what begins a request starts its time."""
        if self._request is None:
            self._request = self.loop.call_later(REQUEST_DEADLINE, self.transport.abort)
        super().data_received(data)

    def handle_events(self) -> None:
        """Handle what has been read; a request that has come whole has no deadline any more."""
        super().handle_events()
        if self._is_whole() and self._request is not None:
            self._request.cancel()
            self._request = None
        self._settle()

    def on_response_complete(self) -> None:
        """Wait for the caller again, or go on with what it has sent already."""
        super().on_response_complete()
        self._settle()

    def _is_whole(self) -> bool:
        return self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}

    def _settle(self) -> None:
        answered = self.cycle is not None and not self.cycle.response_complete
        self._room.settle(self, waits=not (answered and self._is_whole()) and not self.transport.is_closing())

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP by a problem, as everything is refused, and close; uvicorn would by a text."""
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

    def pause_writing(self) -> None:
        """Give the caller time to take its answer."""
        super().pause_writing()
        if self._answer is None:
            self._answer = self.loop.call_later(ANSWER_DEADLINE, self.transport.abort)

    def resume_writing(self) -> None:
        """The caller takes its answer."""
        super().resume_writing()
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timers with the connection, and leave the room."""
        super().connection_lost(exc)
        self._room.settle(self, waits=False)
        for timer in (self._request, self._answer):
            if timer is not None:
                timer.cancel()
