"""Callers that are too slow, or too many: cut, so that none of them holds anything for long."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from bridge.http import connection
from tests.unit.api import Api, rest_side

HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v2/me/outbound-records/13 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
DEADLINE = 0.3


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Api]:
    async with rest_side() as api:
        yield api


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_DEADLINE", DEADLINE)
    monkeypatch.setattr(connection, "ANSWER_DEADLINE", DEADLINE)


@contextlib.asynccontextmanager
async def connected(api: Api) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.transport.abort()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Read until the server ends the connection, in order or not."""
    with contextlib.suppress(ConnectionError):
        return await reader.read()
    return b""


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", POST + b"Content-Length: -1\r\n\r\n"]
)
async def test_what_is_no_http_is_a_problem(api: Api, sent: bytes) -> None:
    """What can't be read as HTTP is refused as everything is, and the connection ends."""
    async with connected(api) as (reader, writer):
        writer.write(sent)
        head, _, body = (await rest_of(reader)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    told = json.loads(body)
    assert (told["status"], told["code"]) == (400, "malformed-request")


def drops() -> Iterator[bytes]:
    """A head that never ends."""
    yield HEAD
    while True:
        yield b"X: y\r\n"


@pytest.mark.usefixtures("impatient")
async def test_silent_caller_is_cut(api: Api) -> None:
    """A connection that sends nothing, or half a head, is ended."""
    for sent in (b"", HEAD):
        async with connected(api) as (reader, writer):
            writer.write(sent)
            assert await rest_of(reader) == b""


@pytest.mark.usefixtures("impatient")
async def test_dripping_caller_is_cut(api: Api) -> None:
    """A head that comes drop by drop is ended as well: each drop wins no time."""
    async with connected(api) as (reader, writer):
        ended = asyncio.create_task(rest_of(reader))
        for drop in drops():
            writer.write(drop)
            if (await asyncio.wait([ended], timeout=DEADLINE / 10))[0]:
                break
        assert await ended == b""


@pytest.mark.usefixtures("impatient")
async def test_body_after_its_refusal_is_cut(api: Api) -> None:
    """A caller that goes on dripping a body after its answer is cut, though nobody waits for that body."""
    async with connected(api) as (reader, writer):
        writer.write(POST.replace(b"application/json", b"text/plain") + b"Content-Length: 70000\r\n\r\n" + b"x" * 66000)
        assert b" 413 " in await reader.readline()
        ended = asyncio.create_task(rest_of(reader))
        while not (await asyncio.wait([ended], timeout=DEADLINE / 10))[0]:
            writer.write(b"x")
        assert ended.done()


@pytest.mark.usefixtures("impatient")
async def test_patient_caller_is_not_cut(api: Api) -> None:
    """Waiting for an answer is not slow: a request that came whole has all the time it needs, again and again."""
    body = b'{"operationName":"DoNotCallRecord","applicationId":1,"campaignName":"c","callingList":"l",'
    body += b'"devicePath":"/devices/d"}'
    async with connected(api) as (reader, writer):
        for _ in range(2):
            writer.write(POST + b"Prefer: wait=1\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)
            assert b" 202 " in await reader.readline()
            length = 0
            while (line := await reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            await reader.readexactly(length)


@pytest.mark.usefixtures("impatient")
async def test_caller_that_takes_no_answer_is_cut(api: Api) -> None:
    """A caller that asks much and reads nothing is cut once the buffers between are full."""
    async with connected(api) as (reader, writer):
        request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        with contextlib.suppress(ConnectionError):
            while not writer.transport.is_closing():
                writer.write(request * 20)
                await writer.drain()
                await asyncio.sleep(0)
        assert writer.transport.is_closing()
        assert not reader.at_eof()


async def test_connections_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a new connection is closed at once, and those before it work."""
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 2)
    async with connected(api) as (first, writer), connected(api) as (second, _):
        async with connected(api) as (third, _):
            assert await rest_of(third) == b""
        writer.write(HEAD + b"\r\n")
        assert b" 200 " in await first.readline()
        assert not second.at_eof()
