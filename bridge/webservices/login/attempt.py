"""One attempt (such as a login) whose result several callers share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from bridge.futures import error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class SharedAttempt(Generic[T]):
    """Runs at most one attempt at a time. All callers that wait for the attempt get its result or its error.

    A caller that stops waiting (cancelled, or past its deadline) doesn't end the attempt for the other callers. When no
    caller waits any more, the attempt is cancelled.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None
        self._waiting = 0

    async def join(self, work: Callable[[], Coroutine[None, None, T]], *, within: float) -> T:
        """Wait for the running attempt and return its result. Start an attempt with `work` if none is running.

        Raises:
            TimeoutError: this caller has waited `within` seconds.
        """
        if self._task is None or self._task.done():
            self._task, self._waiting = asyncio.create_task(work()), 0
        task = self._task
        self._waiting += 1
        try:
            async with asyncio.timeout(within):
                await asyncio.wait([task])
            return task.result()
        finally:
            await self._leave(task)

    async def _leave(self, task: asyncio.Task[T]) -> None:
        if task is not self._task:
            return
        self._waiting -= 1
        if self._waiting == 0:
            self._task = None
            task.cancel()
            await asyncio.wait([task])
            error_of(task)  # the task may have failed before it was cancelled, and nobody else retrieves its error
