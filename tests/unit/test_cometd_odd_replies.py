"""Replies with every wrong type in every field: the session lives through them, and goes on when the server is sane."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from bridge.cometd import Batch, State
from bridge.cometd.advice import LONGEST_TIMEOUT
from bridge.cometd.polling import MOST_UNUSABLE
from bridge.cometd.session_reporter import SessionReporter
from bridge.errors import CometdError, UpstreamError
from tests.behaviour.cometd_listener import CHANNELS, Listener, RememberingSink
from tests.unit.odd_server import OddServer
from tests.waiting import eventually

ODD: Final = [
    b"null",
    b"true",
    b"false",
    b"0",
    b"-1",
    b"1.5",
    b"1e999",
    b"9" * 19,
    b"9" * 300,
    b"-" + b"9" * 300,
    b"9" * 5000,
    b'""',
    b'"text"',
    b'"NaN"',
    b'"\\u0000\\r\\nSet-Cookie: x"',
    b'"\\ud800"',
    b'"\xff"',
    b'"' + b"x" * 100_000 + b'"',
    b"[]",
    b"[1]",
    b"{}",
    b'{"ack":{"ack":[]}}',
    b'[[["deep"]]]',
    b"[" * 5000 + b"]" * 5000,
]
META_FIELDS: Final = [
    ["channel"],
    ["id"],
    ["clientId"],
    ["successful"],
    ["error"],
    ["subscription"],
    ["supportedConnectionTypes"],
    ["ext"],
    ["ext", "ack"],
    ["ext", "ack", "enabled"],
    ["advice"],
    ["advice", "reconnect"],
    ["advice", "interval"],
    ["advice", "timeout"],
    ["advice", "maxInterval"],
    ["advice", "multiple-clients"],
    ["advice", "long-polling"],
    ["advice", "long-polling", "interval"],
    ["unknown"],
]
EVENT_FIELDS: Final = [["channel"], ["data"], ["id"], ["clientId"], ["successful"], ["advice"], ["ext"], ["unknown"]]
FIELDS: Final = {
    **dict.fromkeys(["/meta/handshake", "/meta/connect", "/meta/subscribe", "/meta/disconnect"], META_FIELDS),
    "event": EVENT_FIELDS,
}


class TolerantSink(RememberingSink):
    """Takes events of any shape; remembers the numbers among them."""

    async def arrived(self, batch: Batch) -> None:
        """What matters here is what is received."""

    async def received(self, batch: Batch) -> None:
        numbers = []
        for event in batch.events:
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                number = msgspec.json.decode(event.data)
                if isinstance(number, int) and not isinstance(number, bool) and event.channel == "/v2/me/outbound":
                    numbers.append(number)
        self.events += numbers


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """New sessions follow each other at once."""
    monkeypatch.setattr("bridge.cometd.session_context.HANDSHAKE_BACKOFF_CAP", 0.01)


def listener_of(server: OddServer) -> Listener:
    # The server answers everything: a request that passes the deadline says only that this machine is slow.
    return Listener(server.url, max_interval=1.0, request_timeout=10.0, sink=TolerantSink())


async def provoke(listener: Listener, server: OddServer, channel: str, event: int) -> None:
    """Have the bridge send, or the server publish, what the odd reply answers.

    The session repeats every request that was lost but the disconnect. On a slow machine the connection for it may take
    longer than its deadline, and then no request goes to the server. So the test repeats it.
    """
    if channel == "/meta/handshake":
        listener.session.give_up("test")
    elif channel == "/meta/subscribe":
        with suppress(CometdError, UpstreamError):
            await listener.session.probe()
    elif channel == "/meta/disconnect":
        async with asyncio.timeout(30):
            while not (server.spoiled.is_set() or listener.run.done()):
                await listener.session.end()
    elif channel == "event":
        server.publish(event)
    await eventually(lambda: server.spoiled.is_set() or listener.run.done(), within=30)


async def is_well(listener: Listener) -> None:
    await eventually(
        lambda: listener.session.status.state is State.CONNECTED and listener.session.status.confirmed == set(CHANNELS)
    )


@pytest.mark.parametrize("channel", FIELDS)
async def test_any_type_in_any_field(channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No value of any field ends the session's task, and with the next sane replies the session is well again."""
    monkeypatch.setattr("bridge.cometd.advice.LONGEST_INTERVAL", 0.2)
    async with asyncio.TaskGroup() as group:
        for path in FIELDS[channel]:
            group.create_task(any_type_in(channel, path))


async def any_type_in(channel: str, path: Sequence[str]) -> None:
    def ended() -> bool:
        return listener.run.done()

    async with OddServer() as server, listener_of(server) as listener:
        await is_well(listener)
        for number, odd in enumerate(ODD):
            server.spoil(channel, path, odd)
            await provoke(listener, server, channel, -1)
            server.publish(number)
            await eventually(lambda: ended() or number in listener.sink.events, within=30)  # noqa: B023 -- now
            assert not ended(), (path, odd[:40], listener.run)
            await is_well(listener)
        kept = [event for event in listener.sink.events if 0 <= event < len(ODD)]
        assert list(dict.fromkeys(kept)) == list(range(len(ODD))), path
        assert listener.session.status.refused.keys() <= set(CHANNELS)
        assert all(poll is None or 0 <= poll < 1 << 63 for poll in server.polls), path


UNUSABLE: Final = [
    b"null",
    b"7",
    b'""',
    b'"a\\u0000b"',
    b'"a\\r\\nb"',
    b'"a\\u001b[31mb"',
    '"ä"'.encode(),
    b'"' + b"x" * 513 + b'"',
    b'["client"]',
    b'{"a":"b"}',
]


@pytest.mark.parametrize("odd", UNUSABLE, ids=lambda odd: repr(odd[:20]))
async def test_an_unusable_client_id(odd: bytes) -> None:
    """A handshake's clientId that can't be used counts as a refusal, by a reason of its own, until a good one comes."""
    async with OddServer() as server, listener_of(server) as listener:
        await is_well(listener)
        with capture_logs() as lines:
            server.spoil("/meta/handshake", ["clientId"], odd)
            listener.session.give_up("test")
            await eventually(lambda: len(listener.sink.openings) == 2)
        reasons = [line["reason"] for line in lines if line["event"] == "cometd-disconnected"]
        assert reasons == ["test", "client-id-unusable"]
        assert listener.sink.openings[1].client_id == "client-3"
        await is_well(listener)


async def test_a_number_that_no_other_can_follow() -> None:
    """A server whose numbers start over after a huge one gets a new session, and each reply without use is counted."""
    async with OddServer() as server, listener_of(server) as listener:
        await is_well(listener)
        server.spoil("/meta/connect", ["ext", "ack"], b"9223372036854775807")
        await eventually(lambda: len(listener.sink.openings) == 2)
        assert listener.sink.openings[1].reason == "acknowledgement-unusable"
        labels = {"account": listener.options.account, "reason": "acknowledgement-unusable"}
        assert REGISTRY.get_sample_value("bridge_cometd_replies_unusable_total", labels) == MOST_UNUSABLE
        server.publish(1)
        await eventually(lambda: 1 in listener.sink.events)


async def told(server: OddServer, listener: Listener, *messages: bytes) -> list[str]:
    """Put the messages beside two replies; return the warnings, each as `event what`."""
    with capture_logs() as lines:
        for number in range(2):
            for message in messages:
                server.add(message)
            server.publish(number)
            await eventually(lambda: server.spoiled.is_set() and number in listener.sink.events)  # noqa: B023 -- now
    return [f"{line['event']} {line.get('what')}" for line in lines if line["log_level"] == "warning"]


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (b'{"channel":"/meta/disconnect","successful":true,"advice":{"reconnect":"none"}}', "unsolicited-disconnect"),
        (b'{"channel":"/meta/handshake","successful":true,"clientId":"x","id":"1"}', "unsolicited-handshake"),
        (b'{"channel":"/meta/connect","successful":false,"id":"999","error":"402::x"}', "unsolicited-reply"),
        (b'{"channel":"/meta/whatever","advice":{"interval":3600000}}', "unsolicited-reply"),
    ],
)
async def test_replies_that_nobody_asked_for(message: bytes, what: str) -> None:
    """A meta message that answers none of ours changes nothing, and is told once."""
    async with OddServer() as server, listener_of(server) as listener:
        await is_well(listener)
        assert await told(server, listener, message, message) == [f"cometd-reply-odd {what}"]
        assert listener.session.status.ack_extension
        await is_well(listener)
        assert len(listener.sink.openings) == server.handshakes == 1
        assert server.polls[-1] > 0


@pytest.mark.parametrize("field", ["interval", "timeout", "maxInterval"])
@pytest.mark.parametrize("value", [b"86400000", b"9" * 300, b"1e300"])
async def test_advice_out_of_bounds(field: str, value: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """An advice of hours is told once and bounded: the next poll comes at the bound, with a deadline of minutes."""
    monkeypatch.setattr("bridge.cometd.advice.LONGEST_INTERVAL", 0.2)
    async with OddServer() as server, listener_of(server) as listener:
        await is_well(listener)
        with capture_logs() as lines:
            server.spoil("/meta/connect", ["advice", field], value)
            await eventually(lambda: [line for line in lines if line["event"] == "cometd-reply-odd"])
            polls = len(server.polls)
            await eventually(lambda: len(server.polls) > polls)
        assert len([line for line in lines if line["event"] == "cometd-reply-odd"]) == 1
        left = listener.session.status.reply_due_at - time.monotonic()
        assert left <= LONGEST_TIMEOUT + listener.options.request_timeout


async def test_ten_thousand_subscriptions_that_nobody_asked_for() -> None:
    """Replies about channels that were not asked for take no memory and one line, which has nothing of their text."""
    reporter = SessionReporter("agent", CHANNELS)
    replies = [
        {"channel": "/meta/subscribe", "subscription": f"+49 30 {n}", "successful": n % 2 == 0, "error": f"secret {n}"}
        for n in range(22_000)
    ]
    replies += [
        {"channel": "/meta/subscribe", "subscription": CHANNELS[0], "successful": n % 2 == 1, "error": "secret"}
        for n in range(999)
    ]
    with capture_logs() as lines:
        for _ in range(3):
            reporter.subscriptions(replies)
    assert [line["event"] for line in lines] == ["cometd-reply-odd", "cometd-subscription-refused"]
    assert "secret" not in str(lines)
    assert "+49" not in str(lines)
    assert reporter.status.refused == {CHANNELS[0]: "None"}
    assert reporter.status.confirmed == set()
