"""Callers that are too slow, or too many: cut, so that none of them holds anything for long."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from bridge.http.server import connection
from tests.unit.api import BARE, Api, rest_side
from tests.waiting import eventually

HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v2/me/outbound-records/13 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = json.dumps(BARE).encode()
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
        async with asyncio.timeout(30):
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
    async with connected(api) as (reader, writer):
        for _ in range(2):
            writer.write(POST + b"Prefer: wait=1\r\nContent-Length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY)
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


async def test_idle_connections_give_way(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the connection that has waited longest for its caller is closed for each new one."""
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 3)
    async with connected(api) as (idle, _), connected(api) as (half, half_writer), connected(api) as (used, writer):
        half_writer.write(HEAD)  # sending some more makes a connection no younger
        async with connected(api) as (first, first_writer):
            assert await rest_of(idle) == b""
            first_writer.write(HEAD + b"\r\n")
            assert b" 200 " in await first.readline()
            async with connected(api) as (_, last_writer):
                assert await rest_of(half) == b""
                last_writer.write(HEAD + b"\r\n")
                writer.write(HEAD + b"\r\n")
                assert b" 200 " in await used.readline()


async def test_slow_bodies_give_way(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request whose body is still to come holds its place only as long as nobody else needs it."""
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 1)
    async with connected(api) as (slow, writer):
        writer.write(POST + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n{")
        assert b" 100 " in await slow.readline()
        assert (await api.get("/health/live")).status == 200
        await rest_of(slow)
        assert slow.at_eof()


async def test_waiting_requests_keep_their_place(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that came whole and waits for its answer is never closed for a new connection, which is closed then."""
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 1)
    async with connected(api) as (waiting, writer):
        writer.write(POST + b"Prefer: wait=2\r\nContent-Length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY)
        await eventually(lambda: api.operations.submissions)
        async with connected(api) as (late, _):
            assert await rest_of(late) == b""
        assert b" 202 " in await waiting.readline()


async def test_a_thousand_idle_connections_lock_nobody_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections stand idle or have sent half a head, the next caller is answered."""
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 64)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(200):
            _, writer = await stack.enter_async_context(connected(api))
            writer.write(HEAD if number % 2 else b"")
        assert (await api.get("/health/live")).status == 200


CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "head",
    [
        CHUNKED + b"Content-Length: 3\r\n",
        b"Content-Length: 3\r\n" + CHUNKED,
        b"content-length: 0\r\ntransfer-ENCODING: chunked\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding:\r\n chunked\r\n",
        CHUNKED + CHUNKED,
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: 3, 4\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 0x3\r\n",
        b"Content-Length: 9" + b"9" * 5000 + b"\r\n",
        b"X: a\rb\r\n",
        b"X: a\0b\r\n",
        b"X\n: a\r\n",
        b"X y: a\r\n",
        b"Host: y\r\n",
    ],
)
async def test_ambiguous_requests_are_refused(api: Api, head: bytes) -> None:
    """A request whose length or headers two readers could read differently is a 400, and the connection ends."""
    async with connected(api) as (reader, writer):
        writer.write(POST + head + b"\r\n0\r\n\r\n" + HEAD + b"\r\n")
        answer = await rest_of(reader)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert not api.operations.submissions


async def test_transfer_encoding_needs_http_1_1(api: Api) -> None:
    """HTTP/1.0 knows no Transfer-Encoding: a request with it is refused (RFC 9112, section 6.1)."""
    async with connected(api) as (reader, writer):
        writer.write(POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n")
        assert (await rest_of(reader)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("body", [b"zz\r\n", b"5\r\nabcdefgh", b"3\r\nabc\r\n-1\r\n", b"0\r\nX y: z\r\n\r\n"])
@pytest.mark.parametrize("media_type", [b"application/json", b"text/plain"])
async def test_broken_bodies_end_the_connection_alone(
    api: Api, body: bytes, media_type: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A body that breaks off its framing is answered once and ends its connection; nothing fails inside the server."""
    post = POST.replace(b"application/json", media_type)
    async with connected(api) as (reader, writer):
        writer.write(post + CHUNKED + b"\r\n" + b"11000\r\n" + b"x" * 0x11000 + b"\r\n" + body)
        assert (await rest_of(reader)).count(b"HTTP/1.1 4") <= 1
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert (await api.get("/health/live")).status == 200
