"""The relay loop against a model of the server's ack queue, cut off at every point where it can be."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cometd import Batch, Event, HttpReply, HttpSession, Opening, Options
from bridge.delivery import EMPTY_POSITION, LOST, Position, Revise, revise_nothing
from bridge.errors import Fenced
from bridge.events import JSON
from bridge.relay import InFlight, Relay
from tests.memory_kafka import MemoryKafka, MemoryPublisher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

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

    async def publish(self, records: Sequence[Record], position: Position, revise: Revise = revise_nothing) -> None:
        dies = self._lives == 0
        self._lives = None if self._lives is None else self._lives - 1
        if dies and not self._after_commit:
            raise Crash
        await super().publish(records, position, revise)
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

    def poll_in_parts(self, acknowledged: int, size: int) -> list[Batch]:
        """The same reply as it comes over the wire: `size` events a part, the rest at the end."""
        whole = self.poll(acknowledged)
        parts = [
            replace(whole, acknowledgement=None, events=whole.events[at : at + size], offset=at, more=True)
            for at in range(0, len(whole.events) - size, size)
        ]
        at = sum(len(part.events) for part in parts)
        return [*parts, replace(whole, events=whole.events[at:], offset=at)]

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

    async def poll_in_parts(self, size: int, *, cut_after: int | None = None) -> None:
        """Poll, and take the reply in parts; only so many of them, where it is cut on the wire."""
        for part in self._server.poll_in_parts(self._acknowledged, size)[:cut_after]:
            await self.relay.received(part)
            if part.acknowledgement is not None:
                self._acknowledged = part.acknowledgement

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
    st.tuples(st.just("poll-in-parts"), st.integers(1, 8)),
    st.tuples(st.just("cut-in-the-middle"), st.integers(0, 3)),
    st.tuples(st.just("crash-before"), st.integers(0, 4)),
    st.tuples(st.just("crash-after"), st.integers(0, 4)),
)


@settings(max_examples=150)
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
        elif action == "poll-in-parts":
            await process.poll_in_parts(number)
        elif action == "cut-in-the-middle":
            await process.poll_in_parts(2, cut_after=number)
        else:
            await process.end()
            mortal = MortalPublisher(kafka, number, after_commit=action == "crash-after")
            process = Process(server, mortal)
            try:
                await process.start()
                for _ in range(3):
                    server.send(4)
                    await process.poll_in_parts(2)
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
    kafka.positions[ACCOUNT] = EMPTY_POSITION
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.start()
    await process.end()
    assert changes(kafka) == ["opened"]


async def test_a_loss_at_an_unknown_time_is_told() -> None:
    """Where nothing tells when an earlier session was lost, the gap says so, once, before the new session."""
    server, kafka = Server(), MemoryKafka()
    kafka.positions[ACCOUNT] = LOST
    for _ in range(2):
        process = Process(server, MemoryPublisher(kafka, ACCOUNT))
        await process.start()
        await process.end()
    assert changes(kafka) == ["gap", "opened", "resumed"]
    gap = msgspec.json.decode(of_type(kafka, "session")[0].value)
    assert gap["from"] is None
    assert gap["to"] is not None


class Dying:
    """A relay without acknowledgements, and with a state directory."""

    def __init__(self, directory: Path, publisher: MemoryPublisher) -> None:
        self.http = HttpSession("http://127.0.0.1:9", request_timeout=1)
        self.relay = Relay(OPTIONS, self.http, NoCredentials(), publisher, in_flight=InFlight(directory, ACCOUNT))

    async def __aenter__(self) -> Relay:
        await self.http.__aenter__()
        await self.relay.begin()
        return self.relay

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.__aexit__(kind, error, trace)


def without_acknowledgement(*numbers: int, session: str = "c", at: float = 1_700_000_000.0) -> Batch:
    return Batch(session, None, None, [Event("/v2/me/outbound", body(number)) for number in numbers], at)


def body(number: int) -> msgspec.Raw:
    return msgspec.Raw(b'{"messageType":"OutboundRecordMessage","referenceId":"%d"}' % number)


OPENING = Opening("c", resumed=False, ack_extension=False, reason="start")


async def relaying(relay: Relay) -> None:
    await relay.opened(OPENING)
    await relay.received(Batch("c", None, None, [], time.time()))


async def received(relay: Relay, batches: list[Batch]) -> None:
    for batch in batches:
        await relay.received(batch)


def files(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def weakness(relay: Relay) -> str | None:
    return relay.weakness


def sequences(kafka: MemoryKafka) -> list[bytes]:
    return [dict(record.headers)["ce_sequence"] for record in of_type(kafka, "acknowledgement")]


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("dies_in", range(1, 5))
async def test_what_has_arrived_survives_in_its_files(tmp_path: Path, dies_in: int, *, after_commit: bool) -> None:
    """Several batches that only this process has are published by the next, once each, in order, under their ids."""
    kafka = MemoryKafka()
    publisher = MortalPublisher(kafka, dies_in, after_commit=after_commit)
    batches = [without_acknowledgement(0, 1), without_acknowledgement(2), without_acknowledgement(3, 4, 5)]
    async with Dying(tmp_path, publisher) as relay:
        await relaying(relay)
        for batch in batches:
            await relay.arrived(batch)
        assert len(files(tmp_path)) == 3
        if dies_in < 4:
            with pytest.raises(Crash):
                await received(relay, batches)
    for _ in range(2):
        async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)):
            pass
    assert references(kafka) == ["0", "1", "2", "3", "4", "5"]
    assert sequences(kafka) == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert files(tmp_path) == []


async def test_a_batch_that_arrives_while_another_is_published(tmp_path: Path) -> None:
    """What arrives during a hold is numbered behind what is held, and gone from the disk once it is in Kafka."""
    kafka = MemoryKafka()
    async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)) as relay:
        await relaying(relay)
        first, second = without_acknowledgement(0, 1), without_acknowledgement(2)
        await relay.arrived(first)
        await relay.received(first)
        assert files(tmp_path) == []
        await relay.arrived(second)
        [kept] = await InFlight(tmp_path, ACCOUNT).names()
        batch = await InFlight(tmp_path, ACCOUNT).read(kept)
        assert batch is not None
        assert batch.first_sequence == 2
        await relay.received(second)
    assert sequences(kafka) == [b"0", b"1", b"2"]
    assert files(tmp_path) == []


async def test_what_arrived_for_a_session_that_nobody_goes_on_with(tmp_path: Path) -> None:
    """Batches of a session whose position never got to Kafka are published all the same, in transactions of a chunk."""
    kafka, store = MemoryKafka(), InFlight(tmp_path, ACCOUNT)
    await store.write("gone", 7, 1.0, [("/v2/me/outbound", bytes(body(number))) for number in range(4500)])
    async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)):
        pass
    assert references(kafka) == [str(number) for number in range(4500)]
    assert sequences(kafka) == [b"%d" % (7 + number) for number in range(4500)]
    assert await store.names() == []


async def test_a_file_that_says_more_than_kafka_knows(tmp_path: Path) -> None:
    """A file whose sequence lies ahead of the position, because one before it is missing, is published whole."""
    kafka = MemoryKafka()
    async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)) as relay:
        await relaying(relay)
    await InFlight(tmp_path, ACCOUNT).write("c", 1 << 53, 1.0, [("/x", bytes(body(number))) for number in range(3)])
    async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)):
        pass
    assert references(kafka) == ["0", "1", "2"]


@pytest.mark.parametrize("content", [b"", b"no batch", bytes(100)])
async def test_a_damaged_file_does_not_hide_the_others(tmp_path: Path, content: bytes) -> None:
    """A start passes over a damaged file, publishes the others, and relays."""
    kafka, store = MemoryKafka(), InFlight(tmp_path, ACCOUNT)
    name = await store.write("c", 0, 1.0, [])
    (tmp_path / name).write_bytes(content)
    await store.write("c", 0, 1.0, [("/x", bytes(body(1)))])
    async with Dying(tmp_path, MemoryPublisher(kafka, ACCOUNT)) as relay:
        await relaying(relay)
    assert references(kafka) == ["1"]


async def test_a_full_disk_does_not_stop_the_flow(tmp_path: Path) -> None:
    """Files that can't be written are a weaker guarantee, told until it is over, and no reason to lose a batch."""
    kafka, directory = MemoryKafka(), tmp_path / "state"
    async with Dying(directory, MemoryPublisher(kafka, ACCOUNT)) as relay:
        await relaying(relay)
        for number in range(3):
            batch = without_acknowledgement(number)
            await relay.arrived(batch)
            await relay.received(batch)
            assert weakness(relay) == "in-flight-unwritable"
        directory.mkdir()
        await relay.received(without_acknowledgement(3))
        assert weakness(relay) is None
        await relay.arrived(batch := without_acknowledgement(4))
        shutil.rmtree(directory)
        await relay.received(batch)
        assert weakness(relay) == "in-flight-unwritable"
    assert references(kafka) == ["0", "1", "2", "3", "4"]
    assert sequences(kafka) == [b"0", b"1", b"2", b"3", b"4"]
