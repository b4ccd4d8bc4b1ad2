"""A small Web Services client over aiohttp for the tests of the stand-in; every request has a deadline."""

import asyncio
from collections.abc import Callable
from typing import Any, Self

import aiohttp

DEADLINE = 10.0
Message = dict[str, Any]


class Client:
    """One user's REST and CometD calls through one cookie jar."""

    def __init__(self, url: str, *, username: str = "agent", password: str = "secret") -> None:
        self.url = url
        self._basic = {"Authorization": aiohttp.encode_basic_auth(username, password)}
        self.csrf: dict[str, str] = {}
        self.http = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(total=DEADLINE)
        )
        self.client_id = ""

    async def __aenter__(self) -> Self:
        await self.login()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def login(self) -> None:
        async with self.http.get(f"{self.url}/api/v2/me", headers=self._basic) as reply:
            await reply.read()
            name = reply.headers.get("X-CSRF-HEADER")
            self.csrf = {name: reply.headers["X-CSRF-TOKEN"]} if name else {}

    async def get(self, path: str) -> tuple[int, Message]:
        async with self.http.get(f"{self.url}{path}") as reply:
            return reply.status, await reply.json()

    async def post(self, path: str, body: Message) -> tuple[int, Message]:
        async with self.http.post(f"{self.url}{path}", json=body, headers=self.csrf) as reply:
            if reply.content_type != "application/json":
                return reply.status, {"text": await reply.text()}
            return reply.status, await reply.json()

    async def send(self, *messages: Message, path: str = "/api/v2/notifications") -> list[Message]:
        async with self.http.post(f"{self.url}{path}", json=list(messages)) as reply:
            assert reply.status == 200, reply.status
            decoded: list[Message] = await reply.json()
            return decoded

    async def handshake(self, *, ack: bool = True) -> Message:
        ext = {"ext": {"ack": True}} if ack else {}
        [reply] = await self.send(
            {"channel": "/meta/handshake", "id": "1", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
            | ext
        )
        self.client_id = reply["clientId"]
        return reply

    def message(self, channel: str, **fields: object) -> Message:
        return {"channel": channel, "id": "7", "clientId": self.client_id, **fields}

    async def subscribe(self, *channels: str) -> list[Message]:
        return await self.send(*(self.message("/meta/subscribe", subscription=one) for one in channels))

    async def connect(self, ack: int | None = None, **fields: object) -> list[Message]:
        ext: Message = {} if ack is None else {"ext": {"ack": ack}}
        return await self.send(self.message("/meta/connect", connectionType="long-polling", **ext, **fields))

    async def open(self, *channels: str, ack: bool = True) -> None:
        """Shake hands, subscribe, and make the first connect, which is never parked."""
        await self.handshake(ack=ack)
        await self.subscribe(*(channels or ("/v2/me/*", "/me/internal")))
        await self.connect(0 if ack else None)


def events(replies: list[Message]) -> list[Any]:
    """The data of the events in a reply, without the meta messages."""
    return [one["data"] for one in replies if not one["channel"].startswith("/meta/")]


def batch(replies: list[Message]) -> int:
    """The `ext.ack` of the connect reply."""
    [number] = [one["ext"]["ack"] for one in replies if one["channel"] == "/meta/connect"]
    assert isinstance(number, int)
    return number


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, at most until the deadline."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110  the condition lies in a server that tells nobody
            await asyncio.sleep(0.002)
