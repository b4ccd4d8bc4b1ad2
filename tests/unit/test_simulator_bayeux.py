import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from bridge.simulator import Simulator
from tests.unit.simulator_client import Client, batch, events, until

OUTBOUND = "/v2/me/outbound"
PARKED = 0.2  # s that a poll is held in these tests


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(timeout=PARKED, max_interval=5.0) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Client]:
    async with Client(simulator.url) as opened:
        yield opened


async def test_handshake_negotiates_the_acknowledgement_extension(simulator: Simulator, client: Client) -> None:
    """A handshake with ext.ack true is answered with ext.ack true, the advice in ms and long polling only."""
    reply = await client.handshake()
    assert reply["ext"] == {"ack": True}
    assert reply["advice"] == {"interval": 0, "timeout": round(PARKED * 1000), "reconnect": "retry"}
    assert reply["supportedConnectionTypes"] == ["long-polling"]
    assert simulator.handshakes == 1
    assert [(one.client_id, one.user, one.connected) for one in simulator.sessions] == [
        (reply["clientId"], "agent", False)
    ]


async def test_handshake_without_the_extension_carries_no_ext(client: Client) -> None:
    """Who doesn't offer the extension doesn't get it."""
    assert "ext" not in await client.handshake(ack=False)


async def test_extension_switched_off_is_not_negotiated() -> None:
    """A server without the extension answers an offer with nothing."""
    async with Simulator(ack_extension=False) as simulator, Client(simulator.url) as client:
        assert "ext" not in await client.handshake(ack=True)


async def test_first_connect_is_answered_at_once() -> None:
    """The first /meta/connect is proof of life: it is not parked, however long the timeout."""
    async with Simulator(timeout=30) as simulator, Client(simulator.url) as client:
        await client.handshake()
        assert batch(await client.connect(0)) == 1
        assert simulator.sessions[0].connected is True


async def test_later_connects_are_parked(client: Client) -> None:
    """A connect without events waits for the timeout; its empty reply closes a batch, too."""
    await client.handshake()
    first = await client.connect(0)
    started = monotonic()
    second = await client.connect(batch(first))
    assert monotonic() - started >= PARKED
    assert batch(second) == batch(first) + 1


async def test_client_timeout_of_zero_is_answered_at_once() -> None:
    """advice.timeout = 0 from the client makes the server reply immediately."""
    async with Simulator(timeout=30) as simulator, Client(simulator.url) as client:
        await client.open()
        replies = await client.connect(1, advice={"timeout": 0})
        assert replies[-1]["successful"] is True


async def test_event_wakes_a_parked_poll(simulator: Simulator, client: Client) -> None:
    """An event ends the poll, and comes before the connect reply in its array."""
    await client.open()
    poll = asyncio.create_task(client.connect(1))
    await until(lambda: _parked(simulator))
    simulator.publish(OUTBOUND, {"n": 1})
    replies = await poll
    assert [one["channel"] for one in replies] == [OUTBOUND, "/meta/connect"]
    assert replies[0]["data"] == {"n": 1}


async def test_stale_acknowledgement_brings_everything_again() -> None:
    """A connect with an old N gets the whole unacknowledged prefix again, at once, under a new N."""
    async with Simulator(timeout=30) as simulator, Client(simulator.url) as client:
        await client.open()
        simulator.publish(OUTBOUND, 1)
        first = await client.connect(1)
        simulator.publish(OUTBOUND, 2)
        second = await client.connect(1)
        third = await client.connect(1)
        assert [events(one) for one in (first, second, third)] == [[1], [1, 2], [1, 2]]
        assert batch(first) < batch(second) < batch(third)
        after = await client.connect(batch(third), advice={"timeout": 0})
        assert events(after) == []
        assert simulator.sessions[0].queued == 0


async def test_acknowledged_session_gets_events_in_connect_replies_only(simulator: Simulator, client: Client) -> None:
    """With the extension a subscribe reply carries no event, and an empty ext."""
    await client.open()
    simulator.publish(OUTBOUND, 1)
    [reply] = await client.subscribe("/v2/me/calls")
    assert reply["subscription"] == "/v2/me/calls"
    assert reply["ext"] == {}
    assert events(await client.connect(1)) == [1]


async def test_without_the_extension_events_come_in_any_reply_and_once(simulator: Simulator, client: Client) -> None:
    """Without the extension the next reply, whatever it answers, carries the events, and nothing brings them again."""
    await client.open(ack=False)
    simulator.publish(OUTBOUND, 1)
    assert events(await client.subscribe("/v2/me/calls")) == [1]
    assert events(await client.connect()) == []


async def test_a_glob_does_not_cover_the_internal_channel(simulator: Simulator, client: Client) -> None:
    """`/v2/me/*` takes /v2/me/outbound and not /me/internal; two matching subscriptions give one copy."""
    await client.open("/v2/me/*", OUTBOUND)
    simulator.publish("/me/internal", "internal")
    simulator.publish(OUTBOUND, "outbound")
    assert events(await client.connect(1)) == ["outbound"]


async def test_unsubscribe_ends_the_events(simulator: Simulator, client: Client) -> None:
    """After /meta/unsubscribe the channel's events are not queued."""
    await client.open(OUTBOUND)
    await client.send(client.message("/meta/unsubscribe", subscription=OUTBOUND))
    simulator.publish(OUTBOUND, 1)
    assert simulator.sessions[0].queued == 0
    assert simulator.sessions[0].subscriptions == ()


async def test_events_of_another_user_stay_away() -> None:
    """`publish(user=...)` reaches the sessions of that user only; without a user it reaches all."""
    async with (
        Simulator(users={"second": "word"}) as simulator,
        Client(simulator.url) as one,
        Client(simulator.url, username="second", password="word") as two,
    ):
        await one.open()
        await two.open()
        simulator.publish(OUTBOUND, "own", user="second")
        simulator.publish(OUTBOUND, "all")
        assert events(await one.connect(1)) == ["all"]
        assert events(await two.connect(1)) == ["own", "all"]


async def test_unknown_client_is_told_to_shake_hands_on_a_connect_only(simulator: Simulator, client: Client) -> None:
    """402 on a connect has the handshake advice; on a subscribe it has neither advice nor `subscription`."""
    await client.open()
    assert simulator.expire_sessions() == 1
    [connect] = await client.connect(1)
    assert (connect["successful"], connect["error"][:3]) == (False, "402")
    assert connect["advice"] == {"reconnect": "handshake", "interval": 0}
    [subscribe] = await client.subscribe(OUTBOUND)
    assert subscribe["error"].startswith("402")
    assert not {"advice", "subscription"} & subscribe.keys()


async def test_browser_cookie_is_needed(simulator: Simulator, client: Client) -> None:
    """The right clientId without the BAYEUX_BROWSER cookie, or with another one, is an unknown client."""
    await client.open()
    async with Client(simulator.url) as stranger:
        stranger.client_id = client.client_id
        [without] = await stranger.connect(1)
        await stranger.handshake()
        stranger.client_id = client.client_id
        [other] = await stranger.connect(1)
    assert without["error"].startswith("402")
    assert other["error"].startswith("402")


async def test_resumption_with_client_id_and_cookies(simulator: Simulator, client: Client) -> None:
    """A new process that has the clientId, N and the cookies goes on with the same session and its queue."""
    await client.open()
    simulator.publish(OUTBOUND, 1)
    await client.connect(1)
    async with Client(simulator.url) as successor:
        for cookie in client.http.cookie_jar:
            successor.http.cookie_jar.update_cookies({cookie.key: cookie.value})
        successor.client_id = client.client_id
        assert events(await successor.connect(1)) == [1]


async def test_forgotten_session_ends_its_parked_poll_only_in_time(simulator: Simulator, client: Client) -> None:
    """A poll that was parked when its session went is not told: it ends as if all were well, and the next gets 402."""
    await client.open()
    started = monotonic()
    poll = asyncio.create_task(client.connect(1))
    await until(lambda: _parked(simulator))
    simulator.expire_sessions()
    [reply] = await poll
    assert reply["successful"] is True
    assert monotonic() - started >= PARKED
    [after] = await client.connect(batch([reply]))
    assert after["error"].startswith("402")


async def test_session_expires_without_messages_and_lives_with_them() -> None:
    """A session is gone maxInterval after its last reply; any other message in that time starts the clock anew."""
    async with Simulator(timeout=PARKED, max_interval=1.5) as simulator, Client(simulator.url) as client:
        await client.open()
        simulator.publish(OUTBOUND, 1)
        opened = monotonic()
        while monotonic() - opened < 2.0:
            [reply] = await client.subscribe("/me/internal")
            assert reply["successful"] is True
            await asyncio.sleep(0.05)
        assert events(await client.connect(1)) == [1]
        await until(lambda: not simulator.sessions)
        [reply] = await client.connect(2)
        assert reply["error"].startswith("402")


async def test_parked_poll_keeps_its_session() -> None:
    """A session does not expire while its poll is parked, however short maxInterval is."""
    async with Simulator(timeout=2.0, max_interval=1.5) as simulator, Client(simulator.url) as client:
        await client.open()
        poll = asyncio.create_task(client.connect(1))
        await until(lambda: poll.done() or not simulator.sessions)
        assert len(simulator.sessions) == 1
        assert (await poll)[-1]["successful"] is True
        [reply] = await client.connect(2, advice={"timeout": 0})
        assert reply["successful"] is True


async def test_second_connect_takes_the_place_of_the_first() -> None:
    """Two polls of one session: the older one ends with HTTP 408, the newer one stays parked and gets the events."""
    async with Simulator(timeout=30) as simulator, Client(simulator.url) as client:
        await client.open()
        poll = client.message("/meta/connect", connectionType="long-polling", ext={"ack": 1})
        url = f"{simulator.url}/api/v2/notifications"

        async def status() -> int:
            async with client.http.post(url, json=[poll]) as reply:
                return reply.status

        first = asyncio.create_task(status())
        await until(lambda: _parked(simulator))
        second = asyncio.create_task(client.connect(1))
        assert await first == 408
        await until(lambda: _parked(simulator))
        simulator.publish(OUTBOUND, 1)
        assert events(await second) == [1]


async def test_second_session_of_one_browser_is_not_parked() -> None:
    """Two sessions behind one cookie: the second poll comes back with multiple-clients and interval 2000."""
    async with Simulator(timeout=30) as simulator, Client(simulator.url) as client:
        await client.open()
        first_id = client.client_id
        await client.open()
        second_id, client.client_id = client.client_id, first_id
        parked = asyncio.create_task(client.connect(1))
        await until(lambda: _parked(simulator))
        client.client_id = second_id
        [reply] = await client.connect(1)
        assert reply["advice"]["multiple-clients"] is True
        assert reply["advice"]["interval"] == 2000
        simulator.publish(OUTBOUND, 1)
        await parked


async def test_disconnect_ends_the_session_and_its_poll() -> None:
    """After /meta/disconnect the parked poll returns with reconnect none, and the client is unknown."""
    async with Simulator(timeout=30) as simulator, Client(simulator.url) as client:
        await client.open()
        poll = asyncio.create_task(client.connect(1))
        await until(lambda: _parked(simulator))
        [reply] = await client.send(client.message("/meta/disconnect"))
        assert reply["successful"] is True
        assert (await poll)[-1]["advice"]["reconnect"] == "none"
        assert simulator.sessions == ()


async def test_connect_beside_a_subscribe_is_not_parked() -> None:
    """One request with the connect and the subscribes is answered at once, and the subscriptions hold."""
    async with Simulator(timeout=30) as simulator, Client(simulator.url) as client:
        await client.open()
        replies = await client.send(
            client.message("/meta/connect", connectionType="long-polling", ext={"ack": 1}),
            client.message("/meta/subscribe", subscription="/me/other"),
        )
        assert [one["channel"] for one in replies] == ["/meta/connect", "/meta/subscribe"]
        assert "/me/other" in simulator.sessions[0].subscriptions


@pytest.mark.parametrize("path", ["/api/v2/notifications", "/api/v2/notifications/connect", "/api/v2/notifications/"])
async def test_both_url_forms_and_single_objects(client: Client, path: str) -> None:
    """The type may follow the path, and a single object is as good as an array."""
    await client.handshake()
    body = client.message("/meta/connect", connectionType="long-polling")
    async with client.http.post(client.url + path, json=body) as reply:
        [message] = await reply.json()
    assert message["successful"] is True
    assert message["id"] == "7"


@pytest.mark.parametrize(
    ("body", "status"), [(b"no json", 400), (b"[1]", 400), (b"[]", 500), (b'[{"id":"1"}]', 500), (b"", 200)]
)
async def test_request_without_messages(client: Client, body: bytes, status: int) -> None:
    """What is no JSON gets HTTP 400, what breaks the protocol 500, and nothing gets nothing, as on CometD 3.1.5."""
    async with client.http.post(f"{client.url}/api/v2/notifications", data=body) as reply:
        assert reply.status == status


async def test_handshake_stands_alone(client: Client) -> None:
    """A handshake beside another message breaks the protocol."""
    handshake = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
    async with client.http.post(f"{client.url}/api/v2/notifications", json=[handshake, handshake]) as reply:
        assert reply.status == 500


async def test_large_queue_comes_in_one_reply(simulator: Simulator, client: Client) -> None:
    """A reply has no size limit: all that is queued comes in it, in order."""
    await client.open()
    for number in range(20_000):
        simulator.publish(OUTBOUND, number)
    assert events(await client.connect(1)) == list(range(20_000))


def _parked(simulator: Simulator) -> bool:
    return any(session.parked for session in simulator.sessions)
