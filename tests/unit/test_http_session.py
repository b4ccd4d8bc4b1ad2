"""The one HTTP client of an account: failures by their cause, cookies, paths."""

import asyncio
import contextlib
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import pytest

from bridge.cometd.http.route import Route
from bridge.cometd.http.session import HttpSession
from bridge.errors import ExchangeFailed

TIMEOUT: Final = 2
"""Seconds: enough to send a request on a busy machine."""
Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[bool]]
"""Returns whether to keep the connection until the client ends it."""


@contextlib.asynccontextmanager
async def raw_server(answer: Handler) -> AsyncIterator[str]:
    """A server that sees a request's head and writes whatever bytes it likes."""
    handlers: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            if await answer(await reader.readuntil(b"\r\n\r\n"), writer):
                await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.create_task(handle(reader, writer)))

    async with await asyncio.start_server(start, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(30):
            await asyncio.gather(*handlers)


def replying(*raw: bytes) -> tuple[Handler, list[bytes]]:
    """Answer each request with the next of these bytes; also return the heads that came."""
    heads: list[bytes] = []
    left = list(raw)

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> bool:
        heads.append(head)
        writer.write(left.pop(0))
        await writer.drain()
        return False

    return answer, heads


def reply(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "Connection: close", "Content-Length: 2", "", "ok"]).encode()


async def silent(_: bytes, __: asyncio.StreamWriter) -> bool:
    return True


async def failure(handler: Handler, timeout: float = 30) -> ExchangeFailed:  # noqa: ASYNC109 -- the client's own
    async with raw_server(handler) as url, HttpSession(url, request_timeout=5) as http:
        with pytest.raises(ExchangeFailed) as failed:
            await http.request("POST", "/x", body=b"{}", timeout=timeout)
    return failed.value


async def test_refused_connection_is_unreachable() -> None:
    """A request that found no connection is reported as not sent."""
    async with raw_server(silent) as url:
        pass
    async with HttpSession(url, request_timeout=5) as http:
        with pytest.raises(ExchangeFailed) as failed:
            await http.request("POST", "/x", body=b"{}", timeout=5)
    assert (failed.value.reason, failed.value.sent) == ("unreachable", False)
    assert url.removeprefix("http://") not in str(failed.value)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", "cut"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nabc", "cut"),
        (b"220 mail.example ESMTP\r\n\r\n", "garbled"),
    ],
)
async def test_broken_reply_is_named_by_its_cause(raw: bytes, reason: str) -> None:
    """A reply that ends early is `cut`, one that is not HTTP is `garbled`; both may have been acted upon."""
    failed = await failure(replying(raw)[0])
    assert (failed.reason, failed.sent) == (reason, True)


@pytest.mark.parametrize(("status", "reason"), [(407, "proxy-refused"), (403, "proxy-refused"), (502, "unreachable")])
async def test_a_proxy_without_a_tunnel_is_named(status: int, reason: str) -> None:
    """A proxy that refuses is told from one that can't reach the server; either way nothing was sent."""
    answer, heads = replying(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    async with (
        raw_server(answer) as proxy,
        HttpSession("https://web.example", request_timeout=5, route=Route(proxy=proxy)) as http,
    ):
        with pytest.raises(ExchangeFailed) as failed:
            await http.request("POST", "/x", body=b"{}", timeout=5)
    assert heads[0].startswith(b"CONNECT web.example:443 ")
    assert (failed.value.reason, failed.value.sent, str(status) in str(failed.value)) == (reason, False, True)


async def test_silence_is_a_timeout() -> None:
    """A server that takes a request and says nothing makes a `timeout`, and may have acted."""
    failed = await failure(silent, TIMEOUT)
    assert (failed.reason, failed.sent) == ("timeout", True)


async def test_deadline_covers_the_body() -> None:
    """The deadline runs until the last byte of the body, not only until the headers."""

    async def half(_: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        return True

    assert (await failure(half, TIMEOUT)).reason == "timeout"


async def test_cookies_go_back_as_they_came() -> None:
    """Cookies of an IP host are kept, also Secure ones behind plain HTTP, and base64 values are not quoted."""
    first = reply("Set-Cookie: AWSALB=a+b/c==; Path=/", "Set-Cookie: BAYEUX_BROWSER=x1; Path=/; HttpOnly; Secure")
    answer, heads = replying(first, reply())
    async with raw_server(answer) as url, HttpSession(url, request_timeout=5) as http:
        await http.request("GET", "/a", timeout=5)
        await http.request("GET", "/b", timeout=5)
    cookies = next(line for line in heads[1].decode().splitlines() if line.startswith("Cookie:"))
    assert set(cookies.removeprefix("Cookie: ").split("; ")) == {"AWSALB=a+b/c==", "BAYEUX_BROWSER=x1"}


async def test_successor_sends_the_same_cookies() -> None:
    """Restored cookies are sent to every path, and the server may replace them."""
    answer, heads = replying(reply(), reply("Set-Cookie: JSESSIONID=new; Path=/"), reply())
    known = {"JSESSIONID": "node0==.node0", "BAYEUX_BROWSER": "x1"}
    async with raw_server(answer) as url, HttpSession(url, request_timeout=5) as http:
        http.restore_cookies(known)
        assert http.cookies() == known
        for path in ("/", "/api/v2/me", "/api/v2/notifications"):
            await http.request("GET", path, timeout=5)
        assert http.cookies() == known | {"JSESSIONID": "new"}
    assert b"JSESSIONID=node0==.node0" in heads[0]
    assert b"JSESSIONID=node0==.node0" in heads[1]
    assert b"JSESSIONID=new" in heads[2]


async def test_accounts_share_no_cookies() -> None:
    """A second session to the same server starts without the cookies of the first."""
    answer, heads = replying(reply("Set-Cookie: JSESSIONID=a; Path=/"), reply())
    async with (
        raw_server(answer) as url,
        HttpSession(url, request_timeout=5) as one,
        HttpSession(url, request_timeout=5) as two,
    ):
        await one.request("GET", "/", timeout=5)
        await two.request("GET", "/", timeout=5)
    assert b"Cookie" not in heads[1]


async def test_redirects_are_replies() -> None:
    """A redirect is handed back, not followed: it could lead to a login page, or away with the cookies."""
    answer, heads = replying(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")
    async with raw_server(answer) as url, HttpSession(url, request_timeout=5) as http:
        assert (await http.request("GET", "/", timeout=5)).status == 302
    assert len(heads) == 1


async def test_path_stays_encoded() -> None:
    """The path reaches the server with the percent-encoding that the caller gave it."""
    answer, heads = replying(reply())
    async with raw_server(answer) as url, HttpSession(f"{url}/base/", request_timeout=5) as http:
        await http.request("GET", "/a%2Fb%20c?x=%41", timeout=5)
    assert heads[0].startswith(b"GET /base/a%2Fb%20c?x=%41 HTTP/1.1\r\n")


async def test_header_names_ignore_case() -> None:
    """A reply's headers are found in any case."""
    answer, _ = replying(reply("x-csrf-HEADER: X-CSRF-TOKEN"))
    async with raw_server(answer) as url, HttpSession(url, request_timeout=5) as http:
        answered = await http.request("GET", "/", timeout=5)
    assert answered.headers["X-CSRF-Header"] == "X-CSRF-TOKEN"


LIMIT = 4 << 20
ENDLESS = ["gzip", "deflate", "identity", "chunked"]


async def endless(kind: str, writer: asyncio.StreamWriter) -> bool:
    """A reply that never ends, or not before a gigabyte."""
    packed = zlib.compressobj(9, wbits=31 if kind == "gzip" else 15)
    begin = packed.compress(b" ") + packed.flush(zlib.Z_FULL_FLUSH)
    block = packed.compress(b" " * (16 << 20)) + packed.flush(zlib.Z_FULL_FLUSH)
    writer.write(b"HTTP/1.1 200 OK\r\n")
    if kind == "chunked":
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(1 << 10):
            writer.write(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
            await writer.drain()
    elif kind == "identity":
        writer.write(b"Connection: close\r\n\r\n")
        for _ in range(1 << 10):
            writer.write(b" " * (1 << 20))
            await writer.drain()
    else:
        writer.write(f"Content-Encoding: {kind}\r\nConnection: close\r\n\r\n".encode() + begin + block * 64)
        await writer.drain()
    return False


@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_reply_that_is_too_large_is_cut(kind: str) -> None:
    """A reply longer than the limit fails as soon as it is, in memory that the limit bounds, with the loop turning."""
    turns = 0

    async def turning() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with (
        raw_server(lambda _, writer: endless(kind, writer)) as url,
        HttpSession(url, request_timeout=5, max_reply_bytes=LIMIT) as http,
    ):
        other = asyncio.create_task(turning())
        tracemalloc.start()
        try:
            with pytest.raises(ExchangeFailed) as failed:
                await http.request("GET", "/x", timeout=30)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            other.cancel()
    assert failed.value.reason == "reply-too-large"
    assert "BRIDGE_WEB_SERVICES__MAX_REPLY_BYTES" in str(failed.value)
    assert turns >= LIMIT // (2 << 20)
    assert peak < LIMIT + (64 << 20)  # the server's own blocks and sockets are among it


async def test_a_reply_of_the_limit_is_whole() -> None:
    """The limit itself is no longer than the limit."""
    answer, _ = replying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole", b"HTTP/1.1 200 OK\r\n\r\nwhole+")
    async with raw_server(answer) as url, HttpSession(url, request_timeout=5, max_reply_bytes=5) as http:
        assert (await http.request("GET", "/", timeout=5)).body == b"whole"
        with pytest.raises(ExchangeFailed, match="reply-too-large"):
            await http.request("GET", "/", timeout=5)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip"])
async def test_a_body_that_is_not_what_it_says(encoding: str) -> None:
    """Only gzip and deflate are asked for; what can't be unpacked is a failed exchange, and no crash."""
    answer, heads = replying(f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n\r\nxxxxxxxx".encode())
    async with raw_server(answer) as url, HttpSession(url, request_timeout=5) as http:
        with pytest.raises(ExchangeFailed) as failed:
            await http.request("GET", "/", timeout=5)
    assert failed.value.reason in {"cut", "garbled"}
    assert b"Accept-Encoding: gzip, deflate\r\n" in heads[0]


async def test_a_part_comes_while_the_rest_is_on_the_wire() -> None:
    """A reply can be read in parts; what a part waits for has a deadline, what nobody asks for has none."""
    rest = asyncio.Event()

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 12\r\n\r\nfirst")
        await rest.wait()
        writer.write(b" second")
        return True

    async with raw_server(answer) as url, HttpSession(url, request_timeout=5) as http:
        with await http.exchange("GET", "/", timeout=5) as reply:
            assert await reply.part(5) == b"first"
            with pytest.raises(ExchangeFailed, match="timeout"):
                await reply.part(1, timeout=0.01)
            rest.set()
            assert await reply.part(100, timeout=5) == b" second"
            assert await reply.part(100, timeout=5) == b""
        with pytest.raises(TimeoutError, match="of the block"), await http.exchange("GET", "/", timeout=5):
            raise TimeoutError("of the block")
