"""`bridge health` against a bridge's own health routes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

import pytest

from bridge.commands import ask_health
from bridge.errors import CommandFailed
from bridge.http import Missing, create_management_app, serve
from bridge.settings import Http
from tests.real.process import free_port


@contextlib.asynccontextmanager
async def listening(host: str, missing: Sequence[Missing] = ()) -> AsyncIterator[int]:
    """Serve health and metrics on that host; yield the port."""
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    app = create_management_app(lambda: missing)
    serving = asyncio.create_task(serve(app, host, 0, ready=bound.set_result))
    try:
        async with asyncio.timeout(30):
            yield await bound
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def ask(*, ready: bool = False, **settings: object) -> str:
    return await asyncio.to_thread(ask_health, Http.model_validate(settings), ready=ready)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])  # noqa: S104 -- as a container has it
async def test_a_live_bridge_is_found_where_it_listens(host: str) -> None:
    """The check asks on the bridge's own port, on loopback where the bridge listens on every address."""
    async with listening(host) as port:
        assert await ask(host=host, port=port, allow_unauthenticated=True) == "live"
        assert await ask(host=host, port=port, allow_unauthenticated=True, ready=True) == "ready"


async def test_health_is_asked_where_it_moved_to() -> None:
    """With a management port that is the one to ask, and the other may be closed."""
    async with listening("127.0.0.1") as port:
        assert await ask(port=free_port(), management_port=port) == "live"


async def test_what_is_missing_is_told() -> None:
    """A bridge without Kafka is live and not ready, and the check says what is missing."""
    async with listening("127.0.0.1", [Missing(name="kafka", reason="not reachable")]) as port:
        assert await ask(port=port) == "live"
        with pytest.raises(CommandFailed, match=r"^not ready: Missing: kafka\.$"):
            await ask(port=port, ready=True)


async def test_nobody_listens() -> None:
    """Where no bridge listens the check fails and names the port."""
    port = free_port()
    with pytest.raises(CommandFailed, match=f"no bridge answers on 127.0.0.1 port {port} "):
        await ask(port=port)


async def test_something_else_listens() -> None:
    """A server that does not speak HTTP is no bridge."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        asking = asyncio.create_task(ask(port=other.getsockname()[1]))
        connection, _ = await asyncio.to_thread(other.accept)
        with connection:
            connection.sendall(b"220 mail ready\r\n")
        with pytest.raises(CommandFailed, match="no bridge answers"):
            await asking


async def test_any_free_port_can_not_be_asked() -> None:
    """A bridge on a port of the system's choice can't be found, and the check says so."""
    with pytest.raises(CommandFailed, match="any free port"):
        await ask(port=0)
