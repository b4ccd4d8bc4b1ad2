"""The real CometD server, and the Web Services around it, behave as the tests that build on them assume."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from tests.integration.bayeux_client import BayeuxClient, batch
from tests.page import ACKNOWLEDGEMENT, REQUEST, USER_EVENT
from tests.real import RealWebServices, require_real_parts

ROOT = Path(__file__).parents[2]
CHANNEL = "/v2/me/outbound"


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody has waited for yet has an empty command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


async def open_session(client: BayeuxClient, *channels: str) -> int:
    """Handshake, subscribe and first connect; returns the first N."""
    await client.handshake()
    for channel in channels:
        reply = await client.subscribe(channel)
        assert reply["successful"] is True
    reply, events = await client.connect()
    assert events == []
    return batch(reply)


async def post_operation(client: BayeuxClient, **headers: str) -> tuple[int, str]:
    """Post the documentation's DoNotCallRecord; returns HTTP status and body."""
    url = f"{client.url}/api/v2/me/outbound-records/13"
    async with client.http.post(url, json=REQUEST, headers=headers) as response:
        return response.status, await response.text()


async def token(client: BayeuxClient) -> dict[str, str]:
    """The CSRF header of the login, as a GET tells it."""
    async with client.http.get(f"{client.url}/api/v2/me") as response:
        return {response.headers["X-CSRF-HEADER"]: response.headers["X-CSRF-TOKEN"]}


async def test_the_handshake_negotiates_the_ack_extension(real_web_services: RealWebServices) -> None:
    """A handshake that offers ext.ack gets ext.ack true, and the session belongs to the user who logged in."""
    async with BayeuxClient(real_web_services.url) as client:
        reply = await client.handshake()
        (session,) = await real_web_services.sessions()
    assert reply["successful"] is True
    assert reply["ext"] == {"ack": True}
    assert (session.client_id, session.user, session.connected) == (client.client_id, "agent", False)


@pytest.mark.parametrize("real_web_services", [{"ack_extension": False}], indirect=True)
async def test_the_ack_extension_can_be_off(real_web_services: RealWebServices) -> None:
    """Without the extension neither the handshake nor the connect reply carries ext.ack."""
    async with BayeuxClient(real_web_services.url) as client:
        handshake = await client.handshake()
        connect, _ = await client.connect()
    assert handshake.get("ext") in (None, {})
    assert connect.get("ext") in (None, {})


async def test_an_acknowledged_event_is_gone_and_a_stale_one_comes_again(real_web_services: RealWebServices) -> None:
    """Polling with a stale N brings the whole unacknowledged prefix under a new N; polling with the new N ends that."""
    async with BayeuxClient(real_web_services.url) as client:
        first = await open_session(client, "/v2/me/*")
        await real_web_services.publish(CHANNEL, {"number": 1})
        reply, events = await client.connect(first, at_once=False)
        await real_web_services.publish(CHANNEL, {"number": 2})
        again, both = await client.connect(first, at_once=False)
        (held,) = await real_web_services.sessions()
        _, none = await client.connect(batch(again))
        (released,) = await real_web_services.sessions()
    assert [event["data"] for event in events] == [{"number": 1}]
    assert [event["data"] for event in both] == [{"number": 1}, {"number": 2}]
    assert first < batch(reply) < batch(again)
    assert none == []
    assert (held.queued, released.queued) == (2, 0)


async def test_an_expired_session_is_unknown(real_web_services: RealWebServices) -> None:
    """After the server forgot its sessions a connect gets 402 with handshake advice, a subscribe 402 without."""
    async with BayeuxClient(real_web_services.url) as client:
        number = await open_session(client, CHANNEL)
        assert await real_web_services.expire_sessions() == 1
        subscribe = await client.subscribe(CHANNEL)
        connect, _ = await client.connect(number)
    assert str(subscribe["error"]).startswith("402")
    assert "advice" not in subscribe
    assert str(connect["error"]).startswith("402")
    assert isinstance(connect["advice"], dict)
    assert connect["advice"]["reconnect"] == "handshake"


@pytest.mark.parametrize("real_web_services", [{"timeout": 1.0}], indirect=True)
async def test_a_parked_poll_is_not_told_of_a_removal(real_web_services: RealWebServices) -> None:
    """A poll that is parked when its session is removed stays parked until the server's timeout."""
    async with BayeuxClient(real_web_services.url) as client:
        for _ in range(20):
            number = await open_session(client, CHANNEL)
            began = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                poll = tasks.create_task(client.connect(number, at_once=False))
                await real_web_services.expire_sessions()
            connect, events = poll.result()
            if time.monotonic() - began > 0.9:
                assert events == []
                return
            assert str(connect["error"]).startswith("402")  # the removal was there before the poll
    pytest.fail("no poll was parked before the removal")


async def test_sessions_end_with_the_process(real_web_services: RealWebServices) -> None:
    """After kill -9 and a restart the server is at the same address and no longer knows the session."""
    async with BayeuxClient(real_web_services.url) as client:
        number = await open_session(client, CHANNEL)
        address = real_web_services.url
        await real_web_services.kill()
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.connect(number)
        await real_web_services.restart()
        connect, _ = await client.connect(number)
    assert real_web_services.url == address
    assert str(connect["error"]).startswith("402")


async def test_nothing_is_served_without_a_login(real_web_services: RealWebServices) -> None:
    """REST and notifications answer a wrong password, and a login that was dropped, with 403 and statusCode 20."""
    async with BayeuxClient(real_web_services.url, password="wrong") as stranger:
        for path in ("/api/v2/me", "/api/v2/notifications"):
            async with stranger.http.post(stranger.url + path, json=[]) as response:
                assert response.status == 403
                assert (await response.json())["statusCode"] == 20
    async with BayeuxClient(real_web_services.url) as agent:
        await token(agent)
        del agent.http.headers["Authorization"]  # from here on the cookie alone counts
        async with agent.http.get(f"{agent.url}/api/v2/me?subresources=features,devices") as response:
            user = (await response.json())["user"]
            assert "api-voice-outbound" in [feature["id"] for feature in user["features"]]
            assert user["devices"][0]["id"]
        assert await real_web_services.drop_logins() == 1
        async with agent.http.get(f"{agent.url}/api/v2/me") as response:
            assert response.status == 403
            assert (await response.json())["statusCode"] == 20


async def test_an_operation_needs_the_csrf_token(real_web_services: RealWebServices) -> None:
    """A POST without the token of its login gets 403 with a text that is no JSON, and nothing is forwarded."""
    async with BayeuxClient(real_web_services.url) as client:
        await token(client)
        status, text = await post_operation(client)
    assert (status, text) == (403, "Missing or invalid Csrf token")
    assert await real_web_services.operations() == []


async def test_an_accepted_operation_is_answered_by_the_two_documented_messages(
    real_web_services: RealWebServices,
) -> None:
    """DoNotCallRecord gets statusCode 0 at once, then the acknowledgement and the user event, of that user alone."""
    async with BayeuxClient(real_web_services.url) as client:
        number = await open_session(client, "/v2/me/*", "/me/internal")
        status, text = await post_operation(client, **await token(client))
        _, events = await client.connect(number, at_once=False)
    assert (status, json.loads(text)) == (200, {"statusCode": 0})
    acknowledgement, user_event = events
    assert acknowledgement["channel"] == ACKNOWLEDGEMENT["channel"] == CHANNEL
    assert acknowledgement["data"] == ACKNOWLEDGEMENT["data"]
    assert user_event["channel"] == USER_EVENT["channel"]
    assert isinstance(user_event["data"], dict)
    for name in ("messageType", "deviceId", "userData"):
        assert user_event["data"][name] == USER_EVENT["data"][name]
    (operation,) = await real_web_services.operations()
    assert (operation.path, operation.body) == ("/api/v2/me/outbound-records/13", REQUEST)


@pytest.mark.parametrize("real_web_services", [{"users": {"agent": "secret", "other": "secret"}}], indirect=True)
async def test_an_acknowledgement_reaches_only_its_own_user(real_web_services: RealWebServices) -> None:
    """The messages of an operation go to the sessions of the user who asked, not to another user's."""
    async with (
        BayeuxClient(real_web_services.url) as agent,
        BayeuxClient(real_web_services.url, username="other") as other,
    ):
        number = await open_session(agent, CHANNEL)
        await open_session(other, CHANNEL)
        await post_operation(agent, **await token(agent))
        _, events = await agent.connect(number, at_once=False)
        _, none = await other.connect()
    assert len(events) == 1
    assert none == []


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("status-4:rest:1", 500, '"statusCode":4'),
        ("status-20:rest:1", 403, '"statusCode":20'),
        ("forbidden-3:rest:1", 403, '"statusCode":3'),
        ("forbidden-5:rest:1", 403, '"statusCode":5'),
    ],
)
async def test_a_refusal_can_be_switched_on(
    real_web_services: RealWebServices, fault: str, status: int, text: str
) -> None:
    """A fault with times=1 refuses one operation in its own way, and the next one is accepted."""
    async with BayeuxClient(real_web_services.url) as client:
        header = await token(client)
        await real_web_services.faults.add(fault)
        refused = await post_operation(client, **header)
        accepted = await post_operation(client, **header)
    assert refused[0] == status
    assert text in refused[1]
    assert accepted[0] == 200


async def test_a_refusal_for_the_token_ends_that_token(real_web_services: RealWebServices) -> None:
    """After the fault csrf-invalid only a token fetched anew is accepted."""
    async with BayeuxClient(real_web_services.url) as client:
        old = await token(client)
        await real_web_services.faults.add("csrf-invalid:rest:1")
        statuses = [(await post_operation(client, **old))[0], (await post_operation(client, **old))[0]]
        statuses.append((await post_operation(client, **await token(client)))[0])
    assert statuses == [403, 403, 200]


async def test_a_doubled_acknowledgement_comes_twice(real_web_services: RealWebServices) -> None:
    """The fault acknowledgement-doubled publishes the messages of one operation twice."""
    await real_web_services.faults.add("acknowledgement-doubled:rest:1")
    async with BayeuxClient(real_web_services.url) as client:
        number = await open_session(client, CHANNEL)
        await post_operation(client, **await token(client))
        _, events = await client.connect(number, at_once=False)
    assert len(events) == 2
    assert events[0]["data"] == events[1]["data"]


async def test_an_unknown_fault_is_refused(real_web_services: RealWebServices) -> None:
    """A misspelt fault is an error, not a test that silently runs without it."""
    with pytest.raises(aiohttp.ClientResponseError, match="400"):
        await real_web_services.faults.add("status-44:rest:1")


async def test_the_server_makes_events_itself(real_web_services: RealWebServices) -> None:
    """generate() publishes the asked number of acknowledgements, numbered, over the asked number of keys, in order."""
    async with BayeuxClient(real_web_services.url) as client:
        number = await open_session(client, CHANNEL)
        before = time.time() * 1000
        await real_web_services.generate(50, keys=3, start=100, pad=10)
        _, events = await client.connect(number)
    data = [event["data"] for event in events]
    assert all(isinstance(one, dict) for one in data)
    assert [one["referenceId"] for one in data if isinstance(one, dict)] == [str(100 + i) for i in range(50)]
    assert [one["record"]["recordHandle"] for one in data if isinstance(one, dict)] == [i % 3 for i in range(50)]
    assert all(before - 1 <= one["sentAt"] <= time.time() * 1000 + 1 for one in data if isinstance(one, dict))
    assert all(one["pad"] == "x" * 10 for one in data if isinstance(one, dict))


async def test_the_server_mixes_both_kinds_of_events(real_web_services: RealWebServices) -> None:
    """Mixed traffic is acknowledgements and user events in turn, as the page has them, each on its own record."""
    async with BayeuxClient(real_web_services.url) as client:
        number = await open_session(client, "/v2/me/*", "/me/internal")
        await real_web_services.generate(4, start=100, mixed=True)
        _, events = await client.connect(number)
    for index, (event, sample) in enumerate(zip(events, [ACKNOWLEDGEMENT, USER_EVENT] * 2, strict=True)):
        data = event["data"]
        assert isinstance(data, dict)
        place, name = ("userData", "GSW_RECORD_HANDLE") if index % 2 else ("record", "recordHandle")
        assert event["channel"] == sample["channel"]
        assert data.keys() == sample["data"].keys() | {"sentAt"}
        assert data[place] == sample["data"][place] | {name: 100 + index}


async def test_a_real_part_does_not_outlive_its_starter(tmp_path: Path) -> None:
    """When the process that started a server is killed with -9, the server ends too."""
    require_real_parts()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # nobody is left to remove the server's directory
    program = (
        "import asyncio, time\n"
        "from tests.real import RealWebServices\n"
        "async def main():\n"
        "    server = RealWebServices()\n"
        "    await server.start()\n"
        "    print(server.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env=environment
    )
    assert starter.stdout is not None
    async with asyncio.timeout(60):
        pid = int(await starter.stdout.readline())
        assert alive(pid)
        starter.send_signal(signal.SIGKILL)
        await starter.wait()
        while alive(pid):  # noqa: ASYNC110 - only the kernel knows when it is gone
            await asyncio.sleep(0.02)
