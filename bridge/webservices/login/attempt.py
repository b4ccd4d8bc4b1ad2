"""One attempt that all callers share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from bridge.futures import error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class SharedAttempt(Generic[T]):
    """Runs at most one attempt at a time. Callers that come while it runs get its result, or its failure.

    A caller that leaves (cancelled, or past its deadline) doesn't end the attempt for the others. When the last caller
    leaves, the attempt is cancelled, so none outlives its callers.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None
        self._waiting = 0

    async def join(self, work: Callable[[], Coroutine[None, None, T]], *, within: float) -> T:
        """Return what the attempt under way returns; begin one with `work` where there is none.

        Raises:
            TimeoutError: the attempt took longer than `within` seconds.
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
            error_of(task)  # it ended while the last caller left: nobody else will ask
