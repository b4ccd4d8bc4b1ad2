"""Waiting for a condition, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Callable


async def eventually(condition: Callable[[], object], *, within: float = 30.0) -> None:
    """Return as soon as the condition holds; raise AssertionError when it doesn't within that many seconds.

    A condition may return an awaitable, which then gives the answer.
    """
    deadline = time.monotonic() + within
    while not (await answer if inspect.isawaitable(answer := condition()) else answer):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s")
        await asyncio.sleep(0.005)
