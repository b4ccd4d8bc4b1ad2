"""A whole CometD session, from the server's bytes to the published records, and the process that comes after it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd import HttpSession, Options
from bridge.delivery import Position
from bridge.relay import InFlight, Relay
from tests.fuzz import fast_loop, published
from tests.fuzz.budget import fuzzed
from tests.fuzz.raw_server import RawServer, answer
from tests.fuzz.strategies import ODD, Change, Damage, Verbatim, changed, changes, damages, encoded, places
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit.relay_parts import ACCOUNT, NoCredentials
from tests.unit.upstream_samples import SAMPLES
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OPTIONS = Options(account=ACCOUNT, path="/cometd", channels=("/v2/me/*",), request_timeout=60)
MARKER = "the marker"
EVENTS = [{"channel": one.channel, "data": one.data} for one in SAMPLES[:2]]
WITHIN = 40.0
Spoiling = tuple[list[Change], Damage]


class Server:
    """A CometD server that does everything right but the replies that `spoilt` tells of, in their order."""

    def __init__(self, spoilt: Sequence[Spoiling], *, acks: bool) -> None:
        self._spoilt = list(spoilt)
        self._acks = acks
        self._sessions = 0
        self._batch = 0
        self.polls = 0
        """Of good replies to polls, since the last spoilt one."""
        self.marker = False
        """Whether a poll brings the marker."""

    def answer(self, head: bytes, body: bytes) -> bytes:
        messages = msgspec.json.decode(body) if head.startswith(b"POST") else []
        replies = [one for message in messages for one in self._replies(message)]
        if not self._spoilt:
            self.polls += any(message["channel"] == "/meta/connect" for message in messages)
            return answer(msgspec.json.encode(replies))
        applied, damage = self._spoilt.pop(0)
        return answer(damage(encoded(changed(replies, applied))))

    def _replies(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        reply = {name: message[name] for name in ("channel", "id") if name in message} | {"successful": True}
        match message["channel"]:
            case "/meta/handshake":
                self._sessions += 1
                reply |= {"clientId": f"client-{self._sessions}", "supportedConnectionTypes": ["long-polling"]}
                reply |= {"version": "1.0", "advice": {"reconnect": "retry", "interval": 0, "timeout": 30_000}}
                reply |= {"ext": {"ack": True}} if self._acks else {}
            case "/meta/subscribe":
                reply |= {"subscription": message["subscription"]}
            case "/meta/connect":
                self._batch += 1
                reply |= {"advice": {"reconnect": "retry", "interval": 0, "timeout": 30_000, "maxInterval": 10_000}}
                reply |= {"ext": {"ack": self._batch}} if self._acks else {}
                return [reply, *self._events()]
        return [reply]

    def _events(self) -> list[dict[str, Any]]:
        if self._spoilt:
            return EVENTS
        marker = {"messageType": "OutboundRecordMessage", "referenceId": MARKER}
        return [{"channel": "/v2/me/outbound", "data": marker}] if self.marker else []


class Life:
    """One process's relay."""

    def __init__(self, url: str, kafka: MemoryKafka, directory: Path | None) -> None:
        self._http = HttpSession(url, request_timeout=60)
        in_flight = None if directory is None else InFlight(directory, ACCOUNT)
        self._relay = Relay(OPTIONS, self._http, NoCredentials(), MemoryPublisher(kafka, ACCOUNT), in_flight=in_flight)

    async def __aenter__(self) -> asyncio.Task[None]:
        await self._http.__aenter__()
        self._task = asyncio.create_task(self._relay.run())
        return self._task

    async def __aexit__(self, *_: object) -> None:
        self._relay.stop()
        await asyncio.wait([self._task], timeout=WITHIN * fast_loop.SPEED)
        await self._http.__aexit__(None, None, None)
        assert self._task.done(), "the relay does not end"
        self._task.result()


def arrived(kafka: MemoryKafka) -> bool:
    return any(MARKER.encode() in record.value for record in kafka.records)


async def relayed(spoilt: Sequence[Spoiling], *, acks: bool, directory: Path | None = None) -> None:
    """Live through the spoilt replies, restart, and relay what a healthy server sends then."""
    kafka, server = MemoryKafka(), Server(spoilt, acks=acks)
    async with RawServer(server.answer) as raw:
        async with Life(raw.url, kafka, directory) as task:
            loop = asyncio.get_running_loop()
            patience = loop.time() + 4 * fast_loop.SPEED
            # The server tells nobody.
            while server.polls < 2 and not task.done() and loop.time() < patience:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        for account, position in kafka.positions.items():  # as Kafka gives it back
            kafka.positions[account] = msgspec.json.decode(msgspec.json.encode(position), type=Position)
        server.marker, server._spoilt = True, []
        async with Life(raw.url, kafka, directory):
            await eventually(lambda: arrived(kafka), within=WITHIN)
    published.check(kafka.records)


@fuzzed(60)
@given(st.lists(st.tuples(changes(), damages), min_size=1, max_size=4), st.booleans())
def test_no_reply_ends_the_relay_or_keeps_it_from_starting_again(spoilt: list[Spoiling], acks: bool) -> None:  # noqa: FBT001
    """Handshakes and polls with anything in them leave a relay that runs, and a position to start at."""
    fast_loop.run(relayed(spoilt, acks=acks))


HARMLESS = Damage(0, "none", b"")
SINGLE = [one for one in ODD if not (isinstance(one, Verbatim) and len(one.content) > 1000)]


@pytest.mark.parametrize("step", ["handshake", "poll"])
def test_no_single_odd_value_in_a_meta_reply_ends_the_relay(step: str) -> None:
    """Each member of a handshake's and of a poll's reply may hold each odd value: a restart relays what comes then."""
    sample = {
        "channel": "",
        "id": "",
        "successful": True,
        "clientId": "",
        "supportedConnectionTypes": [""],
        "version": 1,
    }
    sample |= {"advice": {"reconnect": "", "interval": 0, "timeout": 0, "maxInterval": 0}, "ext": {"ack": True}}

    async def together(spoilings: Sequence[Sequence[Spoiling]]) -> None:
        async with asyncio.TaskGroup() as group:
            for one in spoilings:
                group.create_task(relayed(one, acks=True))

    before: list[Spoiling] = [] if step == "handshake" else [([], HARMLESS)]
    cases = [
        [*before, ([Change(place, "replace", value)], HARMLESS)]
        for place in range(places([sample]))
        for value in SINGLE
    ]
    for start in range(0, len(cases), 25):
        fast_loop.run(together(cases[start : start + 25]))
