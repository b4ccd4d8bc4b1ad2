"""Closes connections of slow callers, and limits the number of connections.

uvicorn has a time-out only between two requests. It has no time-out for a request's head, for a body that the
application no longer reads, or for a response that the caller does not read.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bridge.http.server.uvicorn_internals import UvicornConnection

REQUEST_DEADLINE: Final = 15.0
"""Maximum seconds until a request has arrived completely. The time begins when the connection opens, and for later
requests at their first byte. A slow body is answered with 408 earlier (`BODY_DEADLINE`)."""
ANSWER_DEADLINE: Final = 15.0
"""Maximum seconds that sending a response may be blocked because the caller does not read it."""
LARGEST_HEAD: Final = 16 * 1024
"""Maximum size of an incomplete request head or chunk header, in bytes."""
MOST_CONNECTIONS: Final = 1024
"""Maximum number of connections, and of requests under way (`RequestShares`). While twice as many requests are being
processed, the server refuses new connections."""


class Room:
    """The connections of one server that wait for data from their callers, in the order in which the wait began.

    Such a connection is idle or has an incomplete request. If there are more than MOST_CONNECTIONS connections, the
    server closes the one that waits the longest.
    """

    def __init__(self) -> None:
        self._waiting: dict[Connection, None] = {}

    def settle(self, connection: Connection, *, waits: bool) -> None:
        """Record whether the connection waits. Further data of an incomplete request does not change the order."""
        if waits:
            self._waiting.setdefault(connection)
        else:
            self._waiting.pop(connection, None)

    def make_place(self) -> bool:
        """Close the connection that has waited longest for data from its caller. Return False if none waits."""
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        del self._waiting[oldest]
        oldest.cut()
        return True


class Connection(UvicornConnection):
    """A connection of uvicorn with deadlines, and with a limit on the number of connections."""

    def __init__(self, room: Room, *args: Any, **options: Any) -> None:
        super().__init__(LARGEST_HEAD, *args, **options)
        self._room = room
        self._request: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection. If there are too many, close a waiting one, or else this one."""
        super().connection_made(transport)
        connections, requests = self.counts()
        # There may be more requests than connections, because a request may go on after its caller has disconnected.
        full = requests >= 2 * MOST_CONNECTIONS
        if full or (connections > MOST_CONNECTIONS and not self._room.make_place()):
            self.cut()
        else:
            self._request = self._cut_after(REQUEST_DEADLINE)
            self._room.settle(self, waits=True)

    def data_received(self, data: bytes) -> None:
        """Read data, and start the deadline unless the request is complete already."""
        super().data_received(data)
        if self._request is None and not self.is_whole():
            self._request = self._cut_after(REQUEST_DEADLINE)

    def advanced(self) -> None:
        """Update the wait state. Cancel the deadline if the request is complete."""
        if self.is_whole() and self._request is not None:
            self._request.cancel()
            self._request = None
        self._room.settle(self, waits=self.waits())

    def _cut_after(self, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self.cut)

    def pause_writing(self) -> None:
        """Start the deadline for the caller to read the response."""
        super().pause_writing()
        if self._answer is None:
            self._answer = self._cut_after(ANSWER_DEADLINE)

    def resume_writing(self) -> None:
        """Cancel the deadline, because the caller reads the response."""
        super().resume_writing()
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timers, and remove the connection from the room."""
        super().connection_lost(exc)
        self._room.settle(self, waits=False)
        for timer in (self._request, self._answer):
            if timer is not None:
                timer.cancel()
