"""One connection of a caller: cut where it takes too long, and closed where another one needs its place.

uvicorn has a deadline only between two requests: none for a request's head, for a body that nobody reads any more, and
for an answer that the caller does not take.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bridge.http.server.uvicorn_internals import UvicornConnection

REQUEST_DEADLINE: Final = 15.0
"""Seconds from a connection's start, or a further request's first byte, until the request has come whole: a body that
is late gets its 408 before (`BODY_DEADLINE`)."""
ANSWER_DEADLINE: Final = 15.0
"""Seconds that a caller may leave an answer untaken."""
LARGEST_HEAD: Final = 16 * 1024
"""Bytes of a head, or of a chunk's, that has not come whole yet."""
MOST_CONNECTIONS: Final = 1024
"""The most connections at the same time, and the places that callers share for their requests. At twice as many
requests the server refuses new connections."""


class Room:
    """The connections of one server that wait for their callers, the longest waiting first.

    No request of theirs is being answered: they are idle, or their request has not come whole. Where there are
    MOST_CONNECTIONS, the first of them is closed for each new connection.
    """

    def __init__(self) -> None:
        self._waiting: dict[Connection, None] = {}

    def settle(self, connection: Connection, *, waits: bool) -> None:
        """Record whether the connection waits.

        Data that it sends while it waits does not change its place in the order.
        """
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
        oldest.cut()
        return True


class Connection(UvicornConnection):
    """uvicorn's connection, with the deadlines and the bound that it lacks."""

    def __init__(self, room: Room, *args: Any, **options: Any) -> None:
        super().__init__(LARGEST_HEAD, *args, **options)
        self._room = room
        self._request: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, in the place of one that waits where the room is full; close it where none waits."""
        super().connection_made(transport)
        connections, requests = self.counts()
        # Requests whose callers have gone may still be at work.
        full = requests >= 2 * MOST_CONNECTIONS
        if full or (connections > MOST_CONNECTIONS and not self._room.make_place()):
            self.cut()
        else:
            self._request = self._cut_after(REQUEST_DEADLINE)
            self._room.settle(self, waits=True)

    def data_received(self, data: bytes) -> None:
        """Read on; what begins a request starts its time."""
        if self._request is None:
            self._request = self._cut_after(REQUEST_DEADLINE)
        super().data_received(data)

    def advanced(self) -> None:
        """Wait for the caller, or not; a request that has come whole has no deadline any more."""
        if self.is_whole() and self._request is not None:
            self._request.cancel()
            self._request = None
        self._room.settle(self, waits=self.waits())

    def _cut_after(self, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self.cut)

    def pause_writing(self) -> None:
        """Give the caller time to take its answer."""
        super().pause_writing()
        if self._answer is None:
            self._answer = self._cut_after(ANSWER_DEADLINE)

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
