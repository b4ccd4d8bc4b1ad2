"""A TCP proxy between the bridge and Kafka that can be slow, and that can stop a connection at one chosen request.

It reads the frames of Kafka's protocol only as far as the request's kind (https://kafka.apache.org/protocol: a 4-byte
size, then the 2-byte API key).
"""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.real.process import free_port

END_TXN = 26
"""API key of the request that commits a transaction."""
COMMIT = 1
"""The last byte of such a request; an abort has 0, and so has the bridge's question whether it may end one."""
NOWHERE = "127.0.0.1:1"
_SIZE_BYTES = 4
_API_KEY_BYTES = 2
_CONNECT_TIMEOUT = 5.0
_READ = 1 << 16


class Trap:
    """Stops the connection that sends a request of this kind for good, the first one or, `after` so many, the next.

    `forward`: the broker gets the request and answers it, and the answer is withheld; else it never gets there.
    """

    def __init__(self, api_key: int, *, forward: bool, after: int) -> None:
        self.forward = forward
        self._api_key = api_key
        self._pass_over = after
        self.sprung = asyncio.Event()
        """Set once the connection stands still: with `forward` when the broker has answered."""
        self._cut = asyncio.Event()

    def catches(self, request: bytes) -> bool:
        """Whether it is this request."""
        if int.from_bytes(request[:_API_KEY_BYTES], "big") != self._api_key:
            return False
        if self._api_key == END_TXN and request[-1] != COMMIT:
            return False
        self._pass_over -= 1
        return self._pass_over < 0

    def cut(self) -> None:
        """Close the connection that was stopped."""
        self._cut.set()

    async def hold(self) -> None:
        """Stand still until `cut`."""
        self.sprung.set()
        await self._cut.wait()


class TcpProxy:
    """Listens on loopback and forwards every connection to `target` (host:port), which may be set after the start.

    Kafka's clients go on to the address that the broker advertises: it must advertise `address`.
    """

    def __init__(self) -> None:
        self.target = ""
        self.delay = 0.0
        """Seconds that each request, and each piece of an answer, is late."""
        self._port = 0
        self._trap: Trap | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """host:port; valid after the start."""
        return f"127.0.0.1:{self._port}"

    def trap(self, api_key: int, *, forward: bool, after: int = 0) -> Trap:
        """Set a trap for a request of this kind; it strikes once."""
        self._trap = Trap(api_key, forward=forward, after=after)
        return self._trap

    async def cut(self) -> None:
        """End every connection, and let no new one through until `target` is set again."""
        self.target = NOWHERE
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def __aenter__(self) -> Self:
        self._port = free_port()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        # A cancelled handler would be reported as an error of the server: it is how the proxy ends.
        with suppress(asyncio.CancelledError):
            try:
                await self._forward(reader, writer)
            finally:
                self._connections.discard(task)
                writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                broker_reader, broker_writer = await asyncio.open_connection(host, int(port))
        except (OSError, TimeoutError):
            return  # the client sees a connection that closes at once
        connection = _Connection(self)
        pumps = [
            asyncio.ensure_future(connection.requests(reader, broker_writer)),
            asyncio.ensure_future(connection.answers(broker_reader, writer)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            broker_writer.close()
        for pump in done:
            error = pump.exception()
            if error is not None and not isinstance(error, OSError | asyncio.IncompleteReadError):
                raise error

    def take_trap(self, request: bytes) -> Trap | None:
        """The trap, if it catches this request; it is then no longer set."""
        if self._trap is None or not self._trap.catches(request):
            return None
        taken, self._trap = self._trap, None
        return taken


class _Connection:
    """Both directions of one connection; the trap it has run into stops them."""

    def __init__(self, proxy: TcpProxy) -> None:
        self._proxy = proxy
        self._trap: Trap | None = None

    async def requests(self, client: asyncio.StreamReader, broker: asyncio.StreamWriter) -> None:
        """Pass on whole requests."""
        while True:
            size = await client.readexactly(_SIZE_BYTES)
            request = await client.readexactly(int.from_bytes(size, "big"))
            trap = self._proxy.take_trap(request)
            if trap is not None and not trap.forward:
                await trap.hold()
                return
            self._trap = trap or self._trap
            await asyncio.sleep(self._proxy.delay)
            broker.write(size + request)
            await broker.drain()

    async def answers(self, broker: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Pass on what the broker answers, in any pieces."""
        while piece := await broker.read(_READ):
            if self._trap is not None:
                await self._trap.hold()
                return
            await asyncio.sleep(self._proxy.delay)
            client.write(piece)
            await client.drain()
