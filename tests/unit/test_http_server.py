"""The server: inside the caller's loop, ended by cancellation, and honest about its port."""

import asyncio
import signal
import socket

import aiohttp
import pytest
from fastapi import FastAPI

from bridge.errors import SettingsError
from bridge.http import serve
from tests.unit.served import served


async def test_taken_port_names_the_setting() -> None:
    """A port that is taken stops the start with the variable's name."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError) as failed:
        await serve(FastAPI(), "127.0.0.1", taken.getsockname()[1], ready=lambda _: None)
    assert failed.value.faults[0].startswith("BRIDGE_HTTP__PORT: ")


@pytest.mark.parametrize("host", ["host.invalid", "192.0.2.1"])
async def test_foreign_host_names_the_setting(host: str) -> None:
    """A host that is unknown or not this machine's stops the start as well."""
    with pytest.raises(SettingsError) as failed:
        await serve(FastAPI(), host, 0, ready=lambda _: None)
    assert failed.value.faults[0].startswith("BRIDGE_HTTP__HOST: ")


async def test_cancellation_lets_requests_end() -> None:
    """A request in flight when the server is cancelled still gets its answer, and the port is free afterwards."""
    app = FastAPI()
    started, go_on = asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        started.set()
        await go_on.wait()
        return "done"

    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=port.set_result))
    async with asyncio.timeout(30), aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{await port}/slow"
        request = asyncio.create_task(client.get(url))
        await started.wait()
        serving.cancel()
        go_on.set()
        async with await request as reply:
            assert await reply.json() == "done"
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(url)


async def test_stuck_request_does_not_hold_the_end() -> None:
    """A request that never ends delays the server's end by at most 5 s."""
    app = FastAPI()
    started = asyncio.Event()

    @app.get("/stuck")
    async def stuck() -> None:
        started.set()
        await asyncio.Event().wait()

    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=port.set_result))
    async with aiohttp.ClientSession() as client:
        request = asyncio.create_task(client.get(f"http://127.0.0.1:{await port}/stuck"))
        await started.wait()
        serving.cancel()
        async with asyncio.timeout(6):
            with pytest.raises(asyncio.CancelledError):
                await serving
        await asyncio.wait([request], timeout=5)
        assert request.done()
        if request.exception() is None:
            request.result().close()


async def test_signals_stay_the_callers() -> None:
    """Serving leaves the process's signal handlers alone."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with served(FastAPI()):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
