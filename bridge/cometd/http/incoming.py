"""An HTTP reply whose body is read in parts of limited size."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

MAX_REPLY_BYTES: Final = 128 << 20
"""Default of `web_services.max_reply_bytes`."""
PIECE: Final = 1 << 20
"""Bytes of one read. aiohttp's buffer grows to this size."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole HTTP reply."""

    status: int
    headers: Mapping[str, str]
    """The mapping ignores the case of header names."""
    body: bytes


class IncomingReply:
    """The status and headers of a reply, and methods that read the body. A context manager: its end closes the reply.

    aiohttp decompresses into a buffer of limited size, and stops reading from the socket while that buffer is full.
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
        """Most bytes (after decompression) that may be in memory at the same time."""
        self._response = response
        self._until = until
        self._failure = failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._response.closed:  # the body was not read to its end
            self._response.close()

    async def part(self, size: int, *, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- names the failure
        """Return the next `size` bytes of the body, fewer at its end, b"" after its end.

        Args:
            size: number of bytes to wait for.
            timeout: seconds that this part may take. None: until the deadline of the whole exchange.

        Raises:
            ExchangeFailed: see `HttpSession.request`.
        """
        return b"".join(await self._pieces(size, timeout))

    async def whole(self, largest: int | None = None) -> HttpReply:
        """Read the rest of the body, and return the reply. `largest` (bytes) can only lower `limit`.

        Raises:
            ExchangeFailed: see `HttpSession.request`.
        """
        limit = self.limit if largest is None else min(largest, self.limit)
        pieces = await self._pieces(limit + 1, None)
        if sum(map(len, pieces)) > limit:
            pieces.clear()  # the error's traceback keeps this frame, and so its variables, in memory
            raise (
                too_large(limit)
                if limit == self.limit
                else ExchangeFailed("reply-too-large", f"longer than {limit} bytes")
            )
        return HttpReply(self.status, self.headers, b"".join(pieces))

    async def _pieces(self, size: int, timeout: float | None) -> list[bytes]:  # noqa: ASYNC109 -- as `part`
        content = self._response.content
        pieces: list[bytes] = []
        length = 0
        try:
            async with OnlyOwnCancellation():
                if content.is_eof():  # nothing to wait for: the whole body came with the headers
                    return [content.read_nowait(size)]
                async with asyncio.timeout_at(self._until if timeout is None else _now() + timeout):
                    while piece := await content.read(min(size - length, PIECE)):
                        pieces.append(piece)
                        length += len(piece)
                        if not content.at_eof():
                            await asyncio.sleep(0)  # a full buffer makes `read` return at once, so let other tasks run
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            pieces.clear()  # as in `whole`
            raise self._failure(error) from None
        return pieces


class OnlyOwnCancellation:
    """Raises a ClientConnectionError in place of a CancelledError for which aiohttp is the cause.

    aiohttp sometimes cancels a future that a caller awaits. The caller then gets a CancelledError, although nobody has
    cancelled its task. A task group would treat that error as a planned end. If somebody has cancelled the task, the
    CancelledError is not replaced.
    """

    async def __aenter__(self) -> None:
        """Do nothing."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, asyncio.CancelledError):
            return
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise aiohttp.ClientConnectionError("aiohttp cancelled the exchange") from error


def too_large(limit: int) -> ExchangeFailed:
    """Return the error for a reply, or one message of a reply, that exceeds the limit."""
    return ExchangeFailed("reply-too-large", f"longer than {limit} bytes (BRIDGE_WEB_SERVICES__MAX_REPLY_BYTES)")


def _now() -> float:
    return asyncio.get_running_loop().time()
