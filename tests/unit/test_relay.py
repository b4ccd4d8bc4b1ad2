"""The relay loop against a model of the server's ack queue, cut off at every point where it can be."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cometd import Batch, Event, HttpReply, HttpSession, Opening, Options
from bridge.delivery import InFlight, MemoryKafka, MemoryPublisher, Position
from bridge.errors import Fenced
from bridge.events import JSON
from bridge.numbering import NOWHERE
from bridge.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bridge.events import Encoding, Record

ACCOUNT = "agent"
OPTIONS = Options(account=ACCOUNT, path="/cometd", channels=("/v2/me/*",))


class NoCredentials:
    async def headers(self) -> Mapping[str, str]:
        return {}

    async def challenged(self, reply: HttpReply, *, sent_at: float) -> bool:  # noqa: ARG002 -- the protocol's signature
        return reply.status == 0


class Crash(Exception):
    """The process dies here."""


class MortalPublisher(MemoryPublisher):
    """Dies at a given publish, before or after its commit."""

    def __init__(self, kafka: MemoryKafka, dies_in: int | None, *, after_commit: bool) -> None:
        super().__init__(kafka, ACCOUNT)
        self._lives = dies_in
        self._after_commit = after_commit

    async def publish(self, records: Sequence[Record], position: Position) -> None:
        dies = self._lives == 0
        self._lives = None if self._lives is None else self._lives - 1
        if dies and not self._after_commit:
            raise Crash
        await super().publish(records, position)
        if dies:
            raise Crash


class Server:
    """The acknowledgement extension's rules (bayeux.md): everything unacknowledged comes, and comes again."""

    def __init__(self) -> None:
        self.sessions = 0
        self.queue: list[tuple[int, Event]] = []
        self.batch = 0
        self.client_id = ""
        self.sent: list[list[str]] = []
        """What was sent to each session."""

    def open(self) -> str:
        self.sessions += 1
        self.client_id, self.batch, self.queue = f"client-{self.sessions}", 0, []
        self.sent.append([])
        return self.client_id

    def send(self, count: int) -> None:
        for _ in range(count):
            reference = f"{self.client_id}:{len(self.sent[-1])}"
            self.sent[-1].append(reference)
            body = {"messageType": "OutboundRecordMessage", "referenceId": reference, "record": {"recordHandle": 1}}
            self.queue.append((self.batch + 1, Event("/v2/me/outbound", msgspec.Raw(msgspec.json.encode(body)))))

    def poll(self, acknowledged: int) -> Batch:
        self.queue = [(number, event) for number, event in self.queue if number > acknowledged]
        self.batch += 1
        events = [event for _, event in self.queue]
        return Batch(self.client_id, acknowledged, self.batch, events, time.time())


class Process:
    """One life of the bridge: polls as `bridge.cometd` does, until it crashes."""

    def __init__(self, server: Server, publisher: MemoryPublisher, encoding: Encoding = JSON) -> None:
        self._server = server
        http = HttpSession("http://127.0.0.1:9", request_timeout=1)
        self.relay = Relay(OPTIONS, http, NoCredentials(), publisher, encoding=encoding, chunk=3)
        self._relay_http = self.relay._http
        self._acknowledged = 0

    async def start(self) -> None:
        await self._relay_http.__aenter__()
        resume = await self.relay.begin()
        if resume is not None and resume.client_id == self._server.client_id:
            assert resume.acknowledgement is not None
            self._acknowledged = resume.acknowledgement
            opening = Opening(resume.client_id, resumed=True, ack_extension=True, reason="start")
        else:
            opening = self._open("start" if resume is None else "unknown-client")
        await self.relay.opened(opening)
        await self.poll()

    def _open(self, reason: str) -> Opening:
        self._acknowledged = 0
        return Opening(self._server.open(), resumed=False, ack_extension=True, reason=reason)

    async def poll(self) -> None:
        batch = self._server.poll(self._acknowledged)
        await self.relay.received(batch)
        assert batch.acknowledgement is not None
        self._acknowledged = batch.acknowledgement

    async def lose_session(self) -> None:
        await self.relay.opened(self._open("unknown-client"))
        await self.poll()

    async def end(self) -> None:
        await self._relay_http.__aexit__(None, None, None)


def of_type(kafka: MemoryKafka, name: str) -> list[Record]:
    return [record for record in kafka.records if dict(record.headers)["ce_type"] == f"gws.{name}.v1".encode()]


def references(kafka: MemoryKafka) -> list[str]:
    return [msgspec.json.decode(record.value)["referenceId"] for record in of_type(kafka, "acknowledgement")]


def changes(kafka: MemoryKafka) -> list[str]:
    return [msgspec.json.decode(record.value)["change"] for record in of_type(kafka, "session")]


ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 12)),
    st.tuples(st.just("poll"), st.just(0)),
    st.tuples(st.just("lost-reply"), st.just(0)),
    st.tuples(st.just("crash-before"), st.integers(0, 4)),
    st.tuples(st.just("crash-after"), st.integers(0, 4)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_nothing_is_missing_and_nothing_comes_twice(actions: list[tuple[str, int]]) -> None:
    """Whatever the crashes and lost replies, each event of the session is in Kafka once, in order, under its own id."""
    asyncio.run(exactly_once(actions))


async def exactly_once(actions: list[tuple[str, int]]) -> None:
    server, kafka = Server(), MemoryKafka()
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.start()
    for action, number in actions:
        if action == "send":
            server.send(number)
        elif action == "poll":
            await process.poll()
        elif action == "lost-reply":
            server.poll(process._acknowledged)
        else:
            await process.end()
            mortal = MortalPublisher(kafka, number, after_commit=action == "crash-after")
            process = Process(server, mortal)
            try:
                await process.start()
                for _ in range(3):
                    server.send(4)
                    await process.poll()
            except Crash:
                await process.end()
                process = Process(server, MemoryPublisher(kafka, ACCOUNT))
                await process.start()
    await process.poll()
    await process.end()
    ids = [dict(record.headers)["ce_id"] for record in of_type(kafka, "acknowledgement")]
    assert references(kafka) == server.sent[0]
    assert len(ids) == len(set(ids))
    assert server.sessions == 1
    assert "gap" not in changes(kafka)


async def test_a_lost_session_is_told_before_the_new_one_speaks() -> None:
    """The events of a loss are lost, gap, opened, in this order, before the first event of the new session."""
    server, kafka = Server(), MemoryKafka()
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.start()
    server.send(2)
    await process.poll()
    before = time.time()
    server.send(1)  # into the session that is lost with it
    await process.lose_session()
    server.send(1)
    await process.poll()
    await process.end()
    assert changes(kafka) == ["opened", "lost", "gap", "opened"]
    assert references(kafka) == ["client-1:0", "client-1:1", "client-2:0"]
    kinds = [dict(record.headers)["ce_type"].decode() for record in kafka.records]
    assert kinds[-4:] == ["gws.session.v1"] * 3 + ["gws.acknowledgement.v1"]
    gap = msgspec.json.decode(of_type(kafka, "session")[2].value)
    opened = msgspec.json.decode(of_type(kafka, "session")[3].value)
    assert gap["from"] <= gap["to"]
    assert abs(datetime.fromisoformat(gap["from"]).timestamp() - before) < 5
    assert gap["session"] == opened["session"]
    assert gap["previousSession"] == opened["previousSession"] == msgspec.json.decode(kafka.records[0].value)["session"]


@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_crash_while_a_loss_is_told_tells_it_once(*, after_commit: bool) -> None:
    """A process that dies on either side of the commit that tells of a gap leaves exactly one gap for that loss."""
    server, kafka = Server(), MemoryKafka()
    process = Process(server, MortalPublisher(kafka, 1, after_commit=after_commit))
    await process.start()
    with pytest.raises(Crash):
        await process.lose_session()
    await process.end()
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.start()
    await process.end()
    assert changes(kafka).count("gap") == changes(kafka).count("lost") == 1


async def test_the_later_of_two_bridges_has_the_account() -> None:
    """The first bridge's next turn fails with Fenced, publishes nothing, and the second one publishes it once."""
    server, kafka = Server(), MemoryKafka()
    first = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await first.start()
    second = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await second.start()
    server.send(3)
    with pytest.raises(Fenced):
        await first.poll()
    await second.poll()
    await first.end()
    await second.end()
    assert references(kafka) == server.sent[0]
    assert changes(kafka) == ["opened", "resumed"]


async def test_an_end_on_purpose_leaves_no_gap() -> None:
    """The position that a deliberate end leaves makes the next start an opening, not a loss."""
    server, kafka = Server(), MemoryKafka()
    kafka.positions[ACCOUNT] = NOWHERE
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.start()
    await process.end()
    assert changes(kafka) == ["opened"]


async def test_without_acknowledgements_a_batch_survives_in_its_file(tmp_path: Path) -> None:
    """What the server has forgotten is published by the next process from the in-flight file, under the same ids."""
    kafka = MemoryKafka()
    body = msgspec.Raw(b'{"messageType":"OutboundRecordMessage","referenceId":"7"}')
    http = HttpSession("http://127.0.0.1:9", request_timeout=1)
    async with http:
        dying = Relay(
            OPTIONS,
            http,
            NoCredentials(),
            MortalPublisher(kafka, 1, after_commit=False),
            in_flight=InFlight(tmp_path, ACCOUNT),
        )
        await dying.begin()
        await dying.opened(Opening("c", resumed=False, ack_extension=False, reason="start"))
        await dying.received(Batch("c", None, None, [], time.time()))
        with pytest.raises(Crash):
            await dying.received(Batch("c", None, None, [Event("/v2/me/outbound", body)], time.time()))
        heir = Relay(
            OPTIONS, http, NoCredentials(), MemoryPublisher(kafka, ACCOUNT), in_flight=InFlight(tmp_path, ACCOUNT)
        )
        await heir.begin()
        again = Relay(
            OPTIONS, http, NoCredentials(), MemoryPublisher(kafka, ACCOUNT), in_flight=InFlight(tmp_path, ACCOUNT)
        )
        await again.begin()
    assert references(kafka) == ["7"]
    [record] = of_type(kafka, "acknowledgement")
    assert dict(record.headers)["ce_sequence"] == b"0"


async def test_a_full_disk_does_not_stop_the_flow(tmp_path: Path) -> None:
    """An in-flight file that can't be written is a weaker guarantee, told as such, and no reason to lose the batch."""
    kafka = MemoryKafka()
    http = HttpSession("http://127.0.0.1:9", request_timeout=1)
    async with http:
        relay = Relay(
            OPTIONS,
            http,
            NoCredentials(),
            MemoryPublisher(kafka, ACCOUNT),
            in_flight=InFlight(tmp_path / "missing", ACCOUNT),
        )
        await relay.begin()
        await relay.opened(Opening("c", resumed=False, ack_extension=False, reason="start"))
        body = msgspec.Raw(b'{"messageType":"OutboundRecordMessage","referenceId":"7"}')
        await relay.received(Batch("c", None, None, [Event("/v2/me/outbound", body)], time.time()))
    assert references(kafka) == ["7"]
    assert relay.weakness == "in-flight-unwritable"
