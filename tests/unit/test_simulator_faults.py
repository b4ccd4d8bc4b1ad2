import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import aiohttp
import pytest

from bridge.simulator import Fault, Simulator
from bridge.simulator.faults import Faults
from tests.fault_proxy import FaultProxy
from tests.unit.simulator_client import DEADLINE, Client, events, until

OUTBOUND = "/v2/me/outbound"


def test_fault_strikes_as_often_as_told_after_passing_over_some() -> None:
    """`after` requests pass, then `times` are struck, then the fault is spent."""
    faults = Faults()
    faults.add(Fault("html-503", on="connect", times=2, after=1))
    struck = [faults.strike({"html-503"}, {"connect"}) is not None for _ in range(5)]
    assert struck == [False, True, True, False, False]
    assert faults.armed == ()
    assert faults.struck == {"html-503": 2}


def test_fault_strikes_each_second_request() -> None:
    """With `every` 2 each second request is struck, until `times` are."""
    faults = Faults()
    faults.add(Fault("reset", times=2, after=1, every=2))
    struck = [faults.strike({"reset"}, {"rest"}) is not None for _ in range(7)]
    assert struck == [False, False, True, False, True, False, False]


def test_fault_strikes_only_its_kind() -> None:
    """A fault on connect leaves a subscribe alone and loses none of its times by it; `any` strikes everything."""
    faults = Faults()
    faults.add(Fault("reset", on="connect", times=1))
    assert faults.strike({"reset"}, {"subscribe"}) is None
    assert faults.strike({"html-503"}, {"connect"}) is None
    assert faults.strike({"reset"}, {"connect", "subscribe"}) is not None
    faults.add(Fault("reset"))
    assert faults.strike({"reset"}, {"rest"}) is not None


async def test_fault_ends_with_its_time() -> None:
    """`seconds` after being added a fault strikes no more."""
    faults = Faults()
    faults.add(Fault("reset", seconds=0.05))
    assert faults.strike({"reset"}, {"rest"}) is not None
    await until(lambda: not faults.armed)
    assert faults.strike({"reset"}, {"rest"}) is None


def test_cleared_faults_keep_their_counts() -> None:
    """`clear` switches all off and forgets no strike."""
    faults = Faults()
    faults.add(Fault("reset"))
    faults.strike({"reset"}, {"rest"})
    faults.clear()
    assert faults.armed == ()
    assert faults.struck == {"reset": 1}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("html-503", Fault("html-503")),
        ("html-503:connect", Fault("html-503", on="connect")),
        ("html-503:connect:3", Fault("html-503", on="connect", times=3)),
        ("slow:any::delay=1.5:after=2", Fault("slow", delay=1.5, after=2)),
        ("reset:seconds=3", Fault("reset", seconds=3.0)),
        ("other-node:every=2", Fault("other-node", every=2)),
    ],
)
def test_fault_from_text(line: str, expected: Fault) -> None:
    """A line names the fault, what it strikes and how often; the rest is named."""
    assert Fault.from_text(line) == expected


@pytest.mark.parametrize("line", ["nonsense", "reset:nowhere", "reset:any:many", "reset:any:1:2", "reset:colour=red"])
def test_wrong_fault_is_refused(line: str) -> None:
    """An unknown name, kind or field is an error, and then no line of the text is taken."""
    faults = Faults()
    with pytest.raises(ValueError):  # noqa: PT011  the text is for people
        faults.from_text(f"reset:any:1\n{line}")
    assert faults.armed == ()


class Wire:
    """A client, the server whose sessions it has, and the faults on its way there."""

    def __init__(self, simulator: Simulator, client: Client, faults: Faults) -> None:
        self.simulator = simulator
        self.client = client
        self.faults = faults


@pytest.fixture(params=["in the server", "in a proxy"])
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    async with Simulator(timeout=0.2) as simulator:
        if request.param == "in the server":
            async with Client(simulator.url) as client:
                yield Wire(simulator, client, simulator.faults)
        else:
            async with FaultProxy(simulator.url) as proxy, Client(proxy.url) as client:
                yield Wire(simulator, client, proxy.faults)


async def test_html_503(wire: Wire) -> None:
    """The client gets a balancer's HTML page with status 503, for the struck requests only."""
    await wire.client.open()
    wire.faults.from_text("html-503:connect:1")
    body = wire.client.message("/meta/connect", connectionType="long-polling")
    async with wire.client.http.post(f"{wire.client.url}/api/v2/notifications", json=[body]) as reply:
        assert (reply.status, reply.content_type) == (503, "text/html")
    assert (await wire.client.connect(1))[-1]["successful"] is True


@pytest.mark.parametrize("text", ["cut-reply:connect:1", "reset:connect:1"])
async def test_broken_connection_loses_no_acknowledged_queue(wire: Wire, text: str) -> None:
    """Whether the reply was cut or the request never arrived: the client sees an error, and the events come again."""
    await wire.client.open()
    wire.simulator.publish(OUTBOUND, "event")
    wire.faults.from_text(text)
    with pytest.raises(aiohttp.ClientError):
        await wire.client.connect(1)
    assert events(await wire.client.connect(1)) == ["event"]


async def test_cut_reply_of_a_large_body(wire: Wire) -> None:
    """A reply of some megabytes is cut in its middle, too."""
    await wire.client.open()
    wire.simulator.publish(OUTBOUND, "x" * 4_000_000)
    wire.faults.from_text("cut-reply:connect:1")
    with pytest.raises(aiohttp.ClientPayloadError):
        await wire.client.connect(1)
    assert len(events(await wire.client.connect(1))) == 1


async def test_slow(wire: Wire) -> None:
    """The request waits for the delay and is answered then."""
    await wire.client.open()
    wire.faults.add(Fault("slow", on="subscribe", times=1, delay=0.3))
    started = monotonic()
    [reply] = await wire.client.subscribe(OUTBOUND)
    assert reply["successful"] is True
    assert monotonic() - started >= 0.3


async def test_broken_json(wire: Wire) -> None:
    """The reply is a whole HTTP message whose JSON ends too early."""
    await wire.client.open()
    wire.faults.from_text("broken-json:connect:1")
    with pytest.raises(ValueError):  # noqa: PT011  the JSON parser's own error
        await wire.client.connect(1)


async def test_wrong_id(wire: Wire) -> None:
    """The connect reply's id is not the request's; the events beside it are untouched."""
    await wire.client.open()
    wire.simulator.publish(OUTBOUND, "event")
    wire.faults.from_text("wrong-id:connect:1")
    replies = await wire.client.connect(1)
    assert replies[-1]["id"] != "7"
    assert events(replies) == ["event"]


async def test_unknown_client(wire: Wire) -> None:
    """The client is told 402 with the handshake advice, although the server still has the session."""
    await wire.client.open()
    wire.faults.from_text("unknown-client:connect:1")
    [reply] = await wire.client.connect(1)
    assert reply["error"].startswith("402")
    assert reply["advice"]["reconnect"] == "handshake"
    assert len(wire.simulator.sessions) == 1


async def test_refused_subscription(wire: Wire) -> None:
    """The subscribe gets 403 and the server has no subscription; a connect in the same request is still answered."""
    await wire.client.handshake()
    wire.faults.from_text("refuse-subscription:subscribe:2")
    [reply] = await wire.client.subscribe(OUTBOUND)
    assert (reply["successful"], reply["error"][:3]) == (False, "403")
    replies = await wire.client.send(
        wire.client.message("/meta/connect", connectionType="long-polling"),
        wire.client.message("/meta/subscribe", subscription=OUTBOUND),
    )
    assert [(one["channel"], one["successful"]) for one in replies] == [
        ("/meta/connect", True),
        ("/meta/subscribe", False),
    ]
    assert wire.simulator.sessions[0].subscriptions == ()


async def test_login_faults_strike_the_login_only(wire: Wire) -> None:
    """A fault on login strikes GET /api/v2/me and leaves other REST calls alone."""
    wire.faults.from_text("html-503:login:1")
    assert (await wire.client.get("/api/v2/diagnostics/version"))[0] == 200
    async with wire.client.http.get(f"{wire.client.url}/api/v2/me") as reply:
        assert reply.status == 503


async def test_proxy_passes_every_cookie_and_header() -> None:
    """Through the proxy a client logs in, gets both cookies and the CSRF headers, and its long poll is answered."""
    async with Simulator(timeout=0.2) as simulator, FaultProxy(simulator.url) as proxy, Client(proxy.url) as client:
        assert client.csrf
        await client.open()
        assert {cookie.key for cookie in client.http.cookie_jar} == {"JSESSIONID", "BAYEUX_BROWSER"}
        assert (await client.connect(1))[-1]["successful"] is True
        assert (await client.post("/api/v2/me", {"operationName": "StartContactCenterSession"}))[0] == 200


async def test_proxy_aborts_the_upstream_request_of_a_client_that_left() -> None:
    """When the client goes away, the connection that the proxy holds to the upstream closes."""
    arrived, closed = asyncio.Event(), asyncio.Event()

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        while await reader.read(1024):
            pass
        closed.set()
        writer.close()

    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, FaultProxy(f"http://127.0.0.1:{port}") as proxy, aiohttp.ClientSession() as http:
        request = asyncio.create_task(http.get(proxy.url))
        async with asyncio.timeout(DEADLINE):
            await arrived.wait()
            request.cancel()
            await closed.wait()


async def test_proxy_without_upstream_hangs_up() -> None:
    """An unreachable upstream looks like one: the connection closes without a reply."""
    async with Simulator() as simulator:
        gone = simulator.url
    async with FaultProxy(gone) as proxy, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.get(proxy.url)
