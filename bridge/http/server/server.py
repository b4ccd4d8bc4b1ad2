"""Runs the HTTP server in the current event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import socket
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from bridge.errors import AddressUnusable
from bridge.http.server.connection import Connection, Room
from bridge.http.server.uvicorn_internals import Server, made_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

PORT: Final = "BRIDGE_HTTP__PORT"
MANAGEMENT_PORT: Final = "BRIDGE_HTTP__MANAGEMENT_PORT"
GRACE: Final = 4
"""Seconds that requests under way have to finish when the server stops."""
END: Final = 5.0
"""Seconds after which the server is stopped by force."""
BACKLOG: Final = 512
"""Maximum number of connections that the operating system queues before the server accepts them."""


async def serve(app: FastAPI, host: str, port: int, *, ready: Callable[[int], None], setting: str = PORT) -> None:
    """Serve until cancelled. Port 0 means any free port.

    `ready` is called with the port once the server accepts requests. `setting` is the name of the port's setting, for
    error messages. On cancellation, requests under way have at most 5 s to finish, and `app.state.ending` is set so
    that waiting ones return early.

    Raises:
        AddressUnusable: the server can't listen on the address.
    """
    sockets = await listen(host, port, setting)
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
    """Wait until the server has stopped. After `END` seconds stop it by force."""
    _, late = await asyncio.wait([serving], timeout=END)
    if late:
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def listen(host: str, port: int, setting: str) -> list[socket.socket]:
    """Listen on every address of the host. Skip addresses that this machine lacks, for example ::1 without IPv6.

    If uvicorn itself opened the sockets, a failure would end the process. The caller must close the sockets.

    Raises:
        AddressUnusable: the host or the port can't be used. The text names the setting of the host or of the port.
        `setting` is the name of the port's setting.
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
        text = f"{at_fault}: can't listen on {host} port {port}: {_cause(error)}"
        raise AddressUnusable(text, errno=error.errno) from None
    return sockets


def _cause(error: OSError) -> str:
    """Return the operating system's error text, without the address that Python adds."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__
