"""The REST side on a free loopback port for the length of a test; a plugin of tests/conftest.py."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import pytest_asyncio
from fastapi import FastAPI

from bridge.http import serve

_ending: Final[set[asyncio.Task[None]]] = set()
"""Servers that were told to end. uvicorn takes 0.2 s for that, and the next test needs none of it."""


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Serve the application; yield its base URL."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=port.set_result))
    try:
        serving.add_done_callback(lambda _: port.cancel())
        async with asyncio.timeout(30):
            bound = await port
        yield f"http://127.0.0.1:{bound}"
    finally:
        serving.cancel()
        _ending.add(serving)


@pytest_asyncio.fixture(scope="session", autouse=True)
async def all_ended() -> AsyncIterator[None]:
    """Wait for every server at the end; raise what ended one of them otherwise than by its cancellation."""
    yield
    results = await asyncio.gather(*_ending, return_exceptions=True)
    _ending.clear()
    for result in results:
        if isinstance(result, Exception):
            raise result
