"""Waiting for a condition, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Callable

_SHORTEST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5
_REST = 3
"""A pause is so many times as long as the look before it. A look takes processor time from the thing it waits for."""


async def eventually(condition: Callable[[], object], *, within: float = 30.0) -> None:
    """Return as soon as the condition holds; raise AssertionError when it doesn't within that many seconds.

    A condition may return an awaitable, which then gives the answer.
    """
    deadline = time.monotonic() + within
    while True:
        began = time.monotonic()
        if await answer if inspect.isawaitable(answer := condition()) else answer:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s")
        await pause_after(began)


async def pause_after(began: float, *, least: float = _SHORTEST_PAUSE) -> None:
    """Pause after a look at the condition that began at that moment (`time.monotonic`)."""
    await asyncio.sleep(max(least, min(_REST * (time.monotonic() - began), _LONGEST_PAUSE)))
