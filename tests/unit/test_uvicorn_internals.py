"""The inner parts of uvicorn that the bridge uses behave as it expects; each failure says what would break."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import functools
import gc
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

import bridge
from bridge.http.server import uvicorn_internals as internals
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIED = "0.54."
ROOT = Path(bridge.__file__).parent
ALLOWED = "http/server/uvicorn_internals.py"
LARGEST_HEAD = 200
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"


@contextlib.contextmanager
def or_else(broken: str) -> Iterator[None]:
    """Say with each failure what would break, and with which uvicorn."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"uvicorn {uvicorn.__version__}, tried with {TRIED}x: {broken}")
        raise


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = ""

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class App:
    """Reads each request to its end and answers it when it may."""

    def __init__(self) -> None:
        self.requests = 0
        self.heard: list[str] = []
        self.may_answer, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_end.set()

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        self.requests += 1
        message = await receive()
        while message.get("more_body"):
            message = await receive()
        self.heard.append(message["type"])
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await self.may_end.wait()
        await send({"type": "http.response.body", "body": b""})


class Connection(internals.UvicornConnection):
    """A connection to `App` that counts how often its state may have changed."""

    def __init__(self) -> None:
        self.app_served, self.wire, self.changes = App(), Wire(), 0
        config = uvicorn.Config(self.app_served, log_config=None, lifespan="off", ws="none")
        super().__init__(LARGEST_HEAD, config=config, server_state=ServerState(), app_state={})
        self.connection_made(self.wire)

    def advanced(self) -> None:
        self.changes += 1


def names_of(kind: type, instance: object) -> set[str]:
    return (set(dir(kind)) | set(vars(instance))) - set(dir(asyncio.Protocol)) - {"serve"}


def private_uses(source: str, names: set[str]) -> list[str]:
    """Every import of uvicorn or h11 but uvicorn's settings, and every use or definition of one of `names`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                found += [a.name for a in node.names if a.name.split(".")[0] == "h11" or a.name.startswith("uvicorn.")]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in {"h11", "uvicorn"}:
                found += [module for a in node.names if (module, a.name) != ("uvicorn", "Config")]
            case ast.Attribute(value=ast.Name(id="uvicorn"), attr=attr) if attr != "Config":
                found.append(attr)
            case ast.Attribute(attr=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found += {name} & names
            case _:
                pass
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_one_module_touches_uvicorns_inner_parts(path: Path) -> None:
    """No file of the bridge but one knows more of uvicorn than its settings, least of all in the server's room."""
    names: set[str] = set()
    if path.parent == (ROOT / ALLOWED).parent:
        server = uvicorn.Server(uvicorn.Config(App()))
        loop: Any = object()
        protocol = H11Protocol(server.config, server.server_state, {}, loop)
        names = names_of(H11Protocol, protocol) | names_of(uvicorn.Server, server)
    if path.relative_to(ROOT).as_posix() != ALLOWED:
        assert private_uses(path.read_text(encoding="utf-8"), names) == []


@pytest.mark.parametrize(
    "source",
    [
        "import h11",
        "import uvicorn.server",
        "from uvicorn.protocols.http.h11_impl import H11Protocol",
        "from uvicorn import server",
        "def f():\n  from h11._connection import Connection",
        "import uvicorn\nclass S(uvicorn.Server): pass",
        "self.cycle.disconnected = True",
        "class C(UvicornConnection):\n  def handle_events(self): pass",
    ],
)
def test_each_way_to_an_inner_part_is_found(source: str) -> None:
    """The rule above finds each way of reaching an inner part."""
    assert private_uses(source, {"cycle", "handle_events"})


def test_the_version_is_one_that_was_tried() -> None:
    """The installed uvicorn is of the minor version that the inner parts were tried with."""
    assert uvicorn.__version__.startswith(TRIED), f"try {ALLOWED} with uvicorn {uvicorn.__version__}, then raise TRIED"


@pytest.mark.parametrize(
    "head", [GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", GET + b"X: y\r\n" * 99]
)
async def test_uvicorn_reads_by_the_strict_reader(head: bytes) -> None:
    """A request of ambiguous length, and a head beyond the bound, reach no application."""
    with or_else("it reads by another object than `conn`: ambiguous lengths (request smuggling) and long heads pass"):
        connection = Connection()
        connection.data_received(head)
        await asyncio.sleep(0)
        assert connection.wire.written.startswith(b"HTTP/1.1 400 ")
        assert connection.app_served.requests == 0


async def test_reading_is_heard() -> None:
    """Whatever is read, the connection hears of it."""
    with or_else("it no longer calls `handle_events`: requests that came in time are cut by their deadline"):
        connection = Connection()
        connection.data_received(GET)
        assert connection.changes == 1
        connection.data_received(b"\r\n")
        assert connection.changes == 2


@pytest.mark.parametrize("head", [GET, GET + b"Connection: close\r\n"])
async def test_the_end_of_an_answer_is_heard(head: bytes) -> None:
    """When an answer ends, the connection hears of it, whether it goes on or closes, though nothing more has come."""
    with or_else("it no longer calls `on_response_complete`: new connections break off answers of closing ones"):
        connection = Connection()
        connection.data_received(head + b"\r\n")
        before = connection.changes
        connection.app_served.may_answer.set()
        await eventually(lambda: connection.wire.written)
        assert connection.changes > before


async def test_a_request_is_whole_when_its_body_is() -> None:
    """A request is whole from its body's last byte until its answer has ended."""
    with or_else("`conn.their_state` tells something else: deadlines cut whole requests or let slow ones stay"):
        connection = Connection()
        steps = [connection.is_whole()]
        for data in (POST[:20], POST[20:] + b"x", b"y"):
            connection.data_received(data)
            steps.append(connection.is_whole())
        assert steps == [False, False, False, True]


async def test_who_waits_is_known() -> None:
    """A connection waits for its caller before a request and after its answer; not in between, nor when it closes."""
    with or_else("`cycle` or its `response_complete` tells something else: requests lose their connections"):
        connection = Connection()
        steps = [connection.waits()]
        for data in (GET, b"\r\n"):
            connection.data_received(data)
            steps.append(connection.waits())
        connection.app_served.may_end.clear()
        connection.app_served.may_answer.set()
        await eventually(lambda: connection.wire.written)
        steps.append(connection.waits())
        connection.app_served.may_end.set()
        await eventually(connection.waits)
        steps.append(connection.waits())
        connection.wire.close()
        steps.append(connection.waits())
        assert steps == [True, True, False, False, True, False]


async def test_connections_and_requests_are_counted() -> None:
    """The counts are those of what is open and at work, and fall again."""
    with or_else("`connections` or `tasks` counts something else: nothing bounds the connections"):
        connection = Connection()
        counts = [connection.counts()]
        connection.data_received(GET + b"\r\n")
        counts.append(connection.counts())
        connection.app_served.may_answer.set()
        await eventually(lambda: connection.counts()[1] == 0)
        connection.connection_lost(None)
        counts.append(connection.counts())
        assert counts == [(1, 0), (1, 1), (0, 0)]


async def test_a_connection_is_cut_at_once() -> None:
    """A connection that is cut sends nothing more."""
    with or_else("`transport` is not the connection's: slow callers stay"):
        connection = Connection()
        connection.cut()
        assert connection.wire.ended == "aborted"


async def test_what_is_no_http_is_refused_by_a_problem() -> None:
    """Bytes that are no HTTP get the bridge's own answer, and the connection closes."""
    with or_else("it no longer calls `send_400_response`: what is no HTTP is refused by uvicorn's text"):
        connection = Connection()
        connection.data_received(b"\x16\x03\r\n\r\n")
        assert b"malformed-request" in connection.wire.written
        assert connection.wire.ended == "closed"


async def test_a_request_that_breaks_off_has_nobody_to_answer(caplog: pytest.LogCaptureFixture) -> None:
    """A request whose body breaks off hears that its caller has gone, and its late answer is no error."""
    with or_else(
        "`cycle.disconnected` or `.message_event` does something else: broken bodies become errors in the log"
    ):
        gc.collect()  # otherwise the log may contain errors of requests that earlier tests left without an answer
        caplog.clear()
        connection = Connection()
        connection.app_served.may_answer.set()
        connection.data_received(POST.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"))
        await eventually(lambda: connection.app_served.requests)
        connection.data_received(b"zz\r\n")
        await eventually(lambda: connection.counts()[1] == 0)
        assert connection.app_served.heard == ["http.disconnect"]
        assert connection.wire.written.count(b"HTTP/1.1 ") == 1
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound


def server(make: Any, started: Any) -> internals.Server:
    config = uvicorn.Config(App(), http=internals.made_by(make), log_config=None, lifespan="off", ws="none")
    return internals.Server(config, started)


async def test_the_server_tells_its_start_leaves_signals_alone_and_ends() -> None:
    """A server says that it has started, when it takes connections; it leaves signals alone and ends when asked to."""
    before = signal.getsignal(signal.SIGTERM)
    started = asyncio.Event()
    with listening() as bound:
        one = server(functools.partial(internals.UvicornConnection, LARGEST_HEAD), started.set)
        serving = asyncio.create_task(one.serve(sockets=[bound]))
        with or_else("`startup` is not called, or too early: the bridge never hears that it serves"):
            async with asyncio.timeout(30):
                await started.wait()
            assert one.started
        with or_else("`capture_signals` is not called: uvicorn takes SIGTERM from the bridge"):
            assert signal.getsignal(signal.SIGTERM) is before
        with or_else("`should_exit` ends nothing: requests in flight are broken off when the bridge ends"):
            one.end()
            async with asyncio.timeout(30):
                await serving


async def test_connections_are_made_by_a_function() -> None:
    """The server makes each connection by the function it was given."""
    made: list[internals.UvicornConnection] = []

    def make(*args: Any, **options: Any) -> internals.UvicornConnection:
        made.append(internals.UvicornConnection(*args, **options))
        return made[-1]

    with or_else("`Config.http` takes no function: the bridge doesn't serve"), listening() as bound:
        started = asyncio.Event()
        one = server(functools.partial(make, LARGEST_HEAD), started.set)
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            tasks.create_task(one.serve(sockets=[bound]))
            await started.wait()
            _, writer = await asyncio.open_connection(*bound.getsockname())
            await eventually(lambda: made)
            writer.close()
            one.end()
