"""A reply whose body is still on the wire, read in bounded parts."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp

from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

MAX_REPLY_BYTES: Final = 128 << 20
"""Default of `web_services.max_reply_bytes`."""
PIECE: Final = 1 << 20
"""Bytes: aiohttp would let its buffer grow to what is asked for at once."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole HTTP reply."""

    status: int
    headers: Mapping[str, str]
    """Names compare without regard to case."""
    body: bytes


class IncomingReply:
    """The status and headers of a reply, and its body as far as it is asked for.

    aiohttp decompresses into a buffer of bounded size, and stops reading the socket while that buffer is full: what
    nobody asks for stays at the server.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        *,
        until: float,
        limit: int,
        failure: Callable[[Exception], ExchangeFailed],
    ) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.limit = limit
        """Bytes after decompression that may be held at once."""
        self._content = response.content
        self._until = until
        self._failure = failure

    async def part(self, size: int, *, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- names the failure
        """Return the next `size` bytes, or fewer where the body ends; b"" after its end.

        Args:
            size: how many bytes to wait for.
            timeout: seconds that this part may take; None: what is left of the exchange's own deadline.

        Raises:
            ExchangeFailed: as `HttpSession.request`.
        """
        return b"".join(await self._pieces(size, timeout))

    async def whole(self, largest: int | None = None) -> HttpReply:
        """Read the rest of the body, and return the reply; `largest` (bytes) bounds it further than `limit` does.

        Raises:
            ExchangeFailed: `reply-too-large`, and as `HttpSession.request`.
        """
        limit = self.limit if largest is None else min(largest, self.limit)
        pieces = await self._pieces(limit + 1, None)
        if sum(map(len, pieces)) > limit:
            pieces.clear()  # whoever keeps the error keeps this frame, and must not keep the bytes
            raise (
                too_large(limit)
                if limit == self.limit
                else ExchangeFailed("reply-too-large", f"longer than {limit} bytes")
            )
        return HttpReply(self.status, self.headers, b"".join(pieces))

    async def _pieces(self, size: int, timeout: float | None) -> list[bytes]:  # noqa: ASYNC109 -- as `part`
        pieces: list[bytes] = []
        length = 0
        try:
            deadline = asyncio.timeout_at(self._until if timeout is None else _now() + timeout)
            async with deadline, only_own_cancellation():
                while piece := await self._content.read(min(size - length, PIECE)):
                    pieces.append(piece)
                    length += len(piece)
                    if not self._content.at_eof():
                        await asyncio.sleep(0)  # a small compressed piece can fill the buffer for long without a wait
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            pieces.clear()  # as in `whole`
            raise self._failure(error) from None
        return pieces


@asynccontextmanager
async def only_own_cancellation() -> AsyncIterator[None]:
    """Let a cancellation of this task through, and raise aiohttp's error for one that aiohttp caused from inside.

    aiohttp cancels futures that its callers await. To them that looks like a cancellation of their own task, and a task
    group would take it for a planned end.
    """
    task = asyncio.current_task()
    try:
        yield
    except asyncio.CancelledError as error:
        if task is None or task.cancelling():
            raise
        raise aiohttp.ClientConnectionError("aiohttp cancelled the exchange") from error


def too_large(limit: int) -> ExchangeFailed:
    """Name a reply, or one message of a reply, that passes the limit."""
    return ExchangeFailed("reply-too-large", f"longer than {limit} bytes (BRIDGE_WEB_SERVICES__MAX_REPLY_BYTES)")


def _now() -> float:
    return asyncio.get_running_loop().time()
