"""One connection of a caller, cut where it takes too long or where there are too many of them.

uvicorn has a deadline only between two requests: none for a request's head, for a body that nobody reads any more, and
for an answer that the caller does not take.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.http.problems import problem

if TYPE_CHECKING:
    import asyncio

REQUEST_DEADLINE: Final = 15.0
"""Seconds from a connection's start, or a further request's first byte, until the request has come whole: a body that
is late gets its 408 before (`BODY_DEADLINE`)."""
ANSWER_DEADLINE: Final = 15.0
"""Seconds that a caller may leave an answer untaken."""
MOST_CONNECTIONS: Final = 1024
"""More are closed at once: what waits is bounded by this, whoever calls."""


class Connection(H11Protocol):
    """uvicorn's connection, with the deadlines that it lacks."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._request: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or close it where there are too many."""
        super().connection_made(transport)
        # Requests whose callers have gone may still be at work: they count as well.
        if max(len(self.connections), len(self.tasks)) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._request = self.loop.call_later(REQUEST_DEADLINE, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Read on; what begins a request starts its time."""
        if self._request is None:
            self._request = self.loop.call_later(REQUEST_DEADLINE, self.transport.abort)
        super().data_received(data)

    def handle_events(self) -> None:
        """Handle what has been read; a request that has come whole has no deadline any more."""
        super().handle_events()
        if self.conn.their_state not in {h11.IDLE, h11.SEND_BODY} and self._request is not None:
            self._request.cancel()
            self._request = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP by a problem, as everything is refused; uvicorn would by a text."""
        del msg
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
        """End the timers with the connection."""
        super().connection_lost(exc)
        for timer in (self._request, self._answer):
            if timer is not None:
                timer.cancel()
