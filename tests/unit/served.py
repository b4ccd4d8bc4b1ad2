"""The REST side on a free loopback port for the length of a test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from bridge.http import serve


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Serve the application; yield its base URL."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=port.set_result))
    try:
        serving.add_done_callback(lambda _: port.cancel())
        async with asyncio.timeout(10):
            bound = await port
        yield f"http://127.0.0.1:{bound}"
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
