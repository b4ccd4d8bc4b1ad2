"""Serves the REST side inside the caller's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import socket
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from bridge.errors import SettingsError
from bridge.http.server.connection import Connection, Room
from bridge.http.server.uvicorn_internals import Server, made_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

GRACE: Final = 4
"""Seconds that requests in flight have to end when the server is asked to."""
END: Final = 5.0
"""Seconds after which the server is gone, whatever its requests do."""
BACKLOG: Final = 512


async def serve(
    app: FastAPI, host: str, port: int, *, ready: Callable[[int], None], setting: str = "BRIDGE_HTTP__PORT"
) -> None:
    """Serve until cancelled; `ready` hears the bound port (port 0: any free one) once requests are taken.

    Cancellation lets requests in flight end, for at most 5 s, and sets `app.state.ending` for those that wait.
    `setting` is the one that names the port.

    Raises:
        SettingsError: the address can't be bound.
    """
    sockets = await _bind(host, port, setting)
    try:
        config = uvicorn.Config(
            app,
            http=made_by(functools.partial(Connection, Room())),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        server = Server(config, lambda: ready(sockets[0].getsockname()[1]))
        serving = asyncio.create_task(server.serve(sockets=sockets))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            if isinstance(ending := getattr(app.state, "ending", None), asyncio.Event):
                ending.set()
            server.end()
            await _end(serving)
            raise
    finally:
        for bound in sockets:
            bound.close()


async def _end(serving: asyncio.Task[None]) -> None:
    """Wait for the server's end; past the deadline end it by force."""
    _, late = await asyncio.wait([serving], timeout=END)
    if late:
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _bind(host: str, port: int, setting: str) -> list[socket.socket]:
    """Bind every address of the host that this machine has (`localhost` may name ::1 where there is no IPv6).

    Bound here because uvicorn would end the process when it can't.
    """
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    try:
        found: list[Any] = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            bound = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(socket.create_server((address[0], bound), family=family, backlog=BACKLOG))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                absent = error
        if not sockets and absent is not None:
            raise absent
    except OSError as error:
        for one in sockets:
            one.close()
        at_fault = "BRIDGE_HTTP__HOST" if error is absent or isinstance(error, socket.gaierror) else setting
        raise SettingsError([f"{at_fault}: can't listen on {host} port {port}: {_cause(error)}"]) from None
    return sockets


def _cause(error: OSError) -> str:
    """Give the operating system's words without the address that Python adds."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__
