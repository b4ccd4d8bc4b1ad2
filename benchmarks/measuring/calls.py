"""REST calls: a small HTTP/1.1 client that takes little processor time, so that the servers are what is measured."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
from yarl import URL

from benchmarks.measuring.site import PASSWORD, USER
from tests.page import REQUEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

CONNECTIONS: Final = 32
_RECORDS: Final = "/api/v2/me/outbound-records"
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_DEADLINE: Final = 10.0


class CallFailed(RuntimeError):
    """A call was not accepted."""


class _Answer(msgspec.Struct, rename="camel"):
    status_code: int | None = None


@dataclass
class Calls:
    """Posts operations to one server, over connections that stay open. `name` is part of each referenceId."""

    name: str
    _head: str
    _idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    _number: int = 0

    async def call(self) -> float:
        """Post one operation, when a connection is idle; return the ms from then to the answer.

        Raises:
            CallFailed: the answer is not statusCode 0.
        """
        self._number += 1
        body = msgspec.json.encode(REQUEST | {"referenceId": f"{self.name}-{self._number}"})
        head = f"POST {_RECORDS}/{self._number} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        reader, writer = connection = await self._idle.get()
        began = time.perf_counter()
        async with asyncio.timeout(_DEADLINE):
            writer.write(head.encode() + body)
            answered = await reader.readuntil(b"\r\n\r\n")
            status, length = _STATUS_LINE.match(answered), _LENGTH.search(answered)
            if status is None or length is None:
                raise CallFailed(f"{self.name}: an answer without a status or a length: {answered!r}")
            content = await reader.readexactly(int(length[1]))
        took = 1000 * (time.perf_counter() - began)
        if status[1] != b"200" or msgspec.json.decode(content, type=_Answer).status_code != 0:
            raise CallFailed(f"{self.name}: HTTP {status[1].decode()}: {content.decode(errors='replace')}")
        self._idle.put_nowait(connection)
        return took

    async def at_once(self, seconds: float) -> tuple[list[float], float]:
        """Keep all connections busy; return the ms of each call, ascending, and the calls a second."""
        began = time.monotonic()

        async def keep_calling() -> list[float]:
            took = []
            while time.monotonic() - began < seconds:
                took.append(await self.call())
            return took

        async with asyncio.TaskGroup() as group:
            callers = [group.create_task(keep_calling()) for _ in range(CONNECTIONS)]
        times = sorted(one for caller in callers for one in caller.result())
        return times, len(times) / (time.monotonic() - began)

    async def steadily(self, rate: float, seconds: float) -> list[float]:
        """Call at a constant rate, however long the answers take; return the ms of each call, ascending."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            calls = []
            for number in range(round(rate * seconds)):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                calls.append(group.create_task(self.call()))
        return sorted(call.result() for call in calls)


@asynccontextmanager
async def calling(name: str, url: str, headers: Mapping[str, str]) -> AsyncIterator[Calls]:
    """Open the connections, and close them at the end."""
    place = URL(url)
    fields = {"Host": f"{place.host}:{place.port}", "Content-Type": "application/json", **headers}
    head = "".join(f"{field}: {value}\r\n" for field, value in fields.items())
    writers = []
    try:
        idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            connection = await asyncio.open_connection(place.host, place.port)
            writers.append(connection[1])
            idle.put_nowait(connection)
        yield Calls(name, head, idle)
    finally:
        for writer in writers:
            writer.close()


async def log_in(url: str) -> dict[str, str]:
    """Log in as a caller of Web Services itself does; return the headers that its later calls need."""
    basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    jar = aiohttp.CookieJar(unsafe=True)  # it is a numeric address
    async with (
        aiohttp.ClientSession(cookie_jar=jar) as client,
        client.get(f"{url}/api/v2/me", headers={"Authorization": basic}) as reply,
    ):
        reply.raise_for_status()
        cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in jar)
        token = reply.headers.get("X-CSRF-HEADER")
        return {"Cookie": cookies} | ({token: reply.headers["X-CSRF-TOKEN"]} if token else {})
