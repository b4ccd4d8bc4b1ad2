"""Bayeux by hand: what goes over the wire is in the test, and what comes back is seen whole."""

from types import TracebackType
from typing import Self

import aiohttp
import msgspec

Message = dict[str, object]


class BayeuxClient:
    """One CometD session over aiohttp, with the login and the cookies that it needs."""

    def __init__(self, url: str, *, username: str = "agent", password: str = "secret") -> None:
        self.url = url
        self.client_id = ""
        self.http = aiohttp.ClientSession(
            # aiohttp's default jar drops the cookies of hosts that are addresses.
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            headers={"Authorization": aiohttp.encode_basic_auth(username, password)},
            timeout=aiohttp.ClientTimeout(total=20),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.close()

    async def send(self, *messages: Message) -> list[Message]:
        """Post the messages as one request; returns the messages of the reply."""
        async with self.http.post(f"{self.url}/api/v2/notifications", json=list(messages)) as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.read(), type=list[Message])

    async def handshake(self) -> Message:
        """Open a session, asking for the ack extension; returns the reply."""
        (reply,) = await self.send(
            {
                "channel": "/meta/handshake",
                "version": "1.0",
                "supportedConnectionTypes": ["long-polling"],
                "ext": {"ack": True},
            }
        )
        self.client_id = str(reply.get("clientId", ""))
        return reply

    async def subscribe(self, channel: str) -> Message:
        """Subscribe to one channel; returns the reply."""
        (reply,) = await self.send({"channel": "/meta/subscribe", "clientId": self.client_id, "subscription": channel})
        return reply

    async def connect(self, ack: int | None = None, *, at_once: bool = True) -> tuple[Message, list[Message]]:
        """Poll; returns the connect reply and the events. `at_once`: ask for a reply without waiting for events."""
        poll: Message = {"channel": "/meta/connect", "clientId": self.client_id, "connectionType": "long-polling"}
        if at_once:
            poll["advice"] = {"timeout": 0}
        if ack is not None:
            poll["ext"] = {"ack": ack}
        messages = await self.send(poll)
        (reply,) = [message for message in messages if message["channel"] == "/meta/connect"]
        return reply, [message for message in messages if message is not reply]


def batch(reply: Message) -> int:
    """The number N that the acknowledgement extension gave a connect reply."""
    ext = reply["ext"]
    assert isinstance(ext, dict)
    number = ext["ack"]
    assert isinstance(number, int)
    return number
