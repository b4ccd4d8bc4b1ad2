"""A CometD server that spoils single fields of its replies: it says whatever JSON a test wants in one place."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from aiohttp import web

from tests.serving import serving

PLACE: Final = "@@odd@@"
"""Stands where the odd value comes; not every odd value can be made by a JSON encoder."""
PARKED: Final = 1
"""Seconds that a poll waits for an event."""


class OddServer:
    """One session with the acknowledgement extension, which any poll finds; one odd value at a time."""

    def __init__(self) -> None:
        self.handshakes = 0
        self.spoiled: asyncio.Event = asyncio.Event()
        """Set once the odd value has been sent."""
        self._odd: tuple[str, Sequence[str], bytes] | None = None
        self._beside: list[bytes] = []
        self._queue: list[tuple[int, int]] = []
        """Batch number and event."""
        self._batch = 0
        self._more = asyncio.Event()
        self.polls: list[Any] = []
        """`ext.ack` of each poll."""
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/api/v2/notifications", self._answer)
        self._serving = serving(app)
        self.url = await self._serving.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._more.set()
        await self._serving.__aexit__(kind, error, trace)

    def publish(self, event: int) -> None:
        """Queue an event."""
        self._queue.append((self._batch + 1, event))
        self._more.set()

    def spoil(self, channel: str, path: Sequence[str], value: bytes) -> None:
        """Put `value` at `path` of the next reply to a message of that channel ("event": of the next event)."""
        self._odd = (channel, path, value)
        self.spoiled.clear()
        self._more.set()

    def add(self, message: bytes) -> None:
        """Put a message beside the next poll's reply."""
        self._beside.append(message)
        self.spoiled.clear()
        self._more.set()

    async def _answer(self, request: web.Request) -> web.Response:
        messages: list[dict[str, Any]] = msgspec.json.decode(await request.read())
        replies: list[bytes] = []
        for message in messages:
            match message["channel"]:
                case "/meta/handshake":
                    self.handshakes += 1
                    self._batch, self._queue = 0, [(1, event) for _, event in self._queue]
                    fields = {
                        "clientId": f"client-{self.handshakes}",
                        "supportedConnectionTypes": ["long-polling"],
                        "ext": {"ack": True},
                        "advice": {"reconnect": "retry", "interval": 0, "timeout": 1000 * PARKED},
                    }
                case "/meta/connect":
                    fields = await self._connect(message, alone=len(messages) == 1)
                    replies += [*self._events(), *self._beside]
                    if self._beside:
                        self._beside = []
                        self.spoiled.set()
                case "/meta/subscribe":
                    fields = {"subscription": message["subscription"]}
                case _:
                    fields = {}
            sane = {"channel": message["channel"], "id": message["id"], "successful": True, **fields}
            replies.append(self._encoded(message["channel"], sane))
        return web.Response(body=b"[" + b",".join(replies) + b"]", content_type="application/json")

    async def _connect(self, message: dict[str, Any], *, alone: bool) -> dict[str, Any]:
        acknowledged = message.get("ext", {}).get("ack")
        self.polls.append(acknowledged)
        if acknowledged is not None:
            self._queue = [(number, event) for number, event in self._queue if number > acknowledged]
        at_once = message.get("advice", {}).get("timeout") == 0
        if alone and not at_once and not self._queue and self._odd is None and not self._beside:
            self._more.clear()
            await asyncio.wait([asyncio.ensure_future(self._more.wait())], timeout=PARKED)
        self._batch += 1
        return {"ext": {"ack": self._batch}, "advice": {"reconnect": "retry", "interval": 0, "timeout": 1000 * PARKED}}

    def _events(self) -> list[bytes]:
        return [self._encoded("event", {"channel": "/v2/me/outbound", "data": event}) for _, event in self._queue]

    def _encoded(self, channel: str, message: dict[str, Any]) -> bytes:
        if self._odd is None or self._odd[0] != channel:
            return msgspec.json.encode(message)
        (_, path, value), self._odd = self._odd, None
        inner = message
        for name in path[:-1]:
            inner[name] = inner[name] if isinstance(inner.get(name), dict) else {}
            inner = inner[name]
        inner[path[-1]] = PLACE
        self.spoiled.set()
        return msgspec.json.encode(message).replace(f'"{PLACE}"'.encode(), value)
