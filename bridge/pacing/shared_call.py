"""Lets callers that ask at the same time share one call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Result = TypeVar("Result")


class SharedCall(Generic[Result]):
    """Calls `work`, at most once at a time.

    Each caller gets the result of a call that began after the caller asked. Two calls are enough for any number of
    callers: the one that is under way, and the next one. An error of `work` is raised only to the caller that began the
    call.
    """

    def __init__(self, work: Callable[[], Awaitable[Result]]) -> None:
        self._work = work
        self._lock = asyncio.Lock()
        self._results: list[Result] = []
        """The result of the last call."""
        self._ended = 0
        """The number of calls that have ended."""

    async def __call__(self) -> Result:
        """Return the result of a call of `work` that began after this method was called."""
        asked = self._ended
        async with self._lock:
            if self._ended <= asked + 1:  # otherwise a call has begun and ended since this caller asked
                self._results = [await self._work()]
                self._ended += 1
            return self._results[0]
