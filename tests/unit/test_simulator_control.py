from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bridge.simulator import Simulator
from tests.page import REQUEST
from tests.unit.simulator_client import Client, events

OUTBOUND = "/v2/me/outbound"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(timeout=0.2) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Client]:
    async with Client(simulator.url) as opened:
        yield opened


async def control(simulator: Simulator, method: str, path: str, **body: object) -> tuple[int, Any]:
    """Call a control path without any login."""
    url = f"{simulator.url}/simulator/{path}"
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url, data=body.get("text"), json=body.get("json")) as reply,
    ):
        return reply.status, await reply.json()


async def test_publish_one_and_many(simulator: Simulator, client: Client) -> None:
    """POST publish takes one event or a list, and says how many it published."""
    await client.open()
    assert await control(simulator, "POST", "publish", json={"channel": OUTBOUND, "data": {"n": 1}}) == (
        200,
        {"published": 1},
    )
    many = {"messages": [{"channel": OUTBOUND, "data": number} for number in (2, 3)]}
    assert await control(simulator, "POST", "publish", json=many) == (200, {"published": 2})
    assert events(await client.connect(1)) == [{"n": 1}, 2, 3]


async def test_sessions_and_their_expiry(simulator: Simulator, client: Client) -> None:
    """GET sessions shows each one; POST expire-sessions forgets them all."""
    await client.open(OUTBOUND)
    simulator.publish(OUTBOUND, 1)
    expected = {
        "clientId": client.client_id,
        "user": "agent",
        "queued": 1,
        "subscriptions": [OUTBOUND],
        "connected": True,
        "parked": False,
    }
    assert await control(simulator, "GET", "sessions") == (200, [expected])
    assert (await control(simulator, "POST", "expire-sessions"))[0] == 200
    assert await control(simulator, "GET", "sessions") == (200, [])


async def test_logins_are_dropped(simulator: Simulator, client: Client) -> None:
    """POST drop-logins makes every cookie invalid."""
    assert (await control(simulator, "POST", "drop-logins"))[0] == 200
    assert (await client.get("/api/v2/me"))[0] == 403


async def test_operations_are_shown(simulator: Simulator, client: Client) -> None:
    """GET operations shows path and body of what was posted."""
    await client.post("/api/v2/me/outbound-records/13", REQUEST)
    [operation] = (await control(simulator, "GET", "operations"))[1]
    assert operation["path"] == "/api/v2/me/outbound-records/13"
    assert operation["body"] == REQUEST


async def test_faults_are_switched_by_text(simulator: Simulator, client: Client) -> None:
    """POST faults takes one fault a line, DELETE clears them, and no fault ever strikes the control paths."""
    assert (await control(simulator, "POST", "faults", text="html-503:any\nslow:rest:1:delay=0.1\n"))[1] == {"added": 2}
    assert len((await control(simulator, "GET", "faults"))[1]["armed"]) == 2
    assert await control(simulator, "DELETE", "faults") == (200, {"cleared": 2})
    assert simulator.faults.armed == ()
    assert (await client.get("/api/v2/me"))[0] == 200


@pytest.mark.parametrize(("path", "text"), [("faults", "nonsense"), ("publish", "[]"), ("publish", "{}")])
async def test_wrong_control_request_is_told(simulator: Simulator, path: str, text: str) -> None:
    """A control request that can't be read gets 400 and an error text."""
    status, reply = await control(simulator, "POST", path, text=text)
    assert status == 400
    assert reply["error"]


async def test_restart_keeps_the_port_and_forgets_the_rest(simulator: Simulator, client: Client) -> None:
    """After stop and start the same URL answers, and sessions and logins are gone, as after a crash."""
    await client.open()
    url = simulator.url
    await simulator.stop()
    with pytest.raises(aiohttp.ClientError):
        await client.get("/api/v2/me")
    await simulator.start()
    assert simulator.url == url
    assert (await client.get("/api/v2/me"))[0] == 403
    assert simulator.sessions == ()
