"""Parts of a relay whose process may die at any moment."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from bridge.cometd import Batch, Event, HttpReply, HttpSession, Opening, Options, SessionStatus
from bridge.delivery import Position, Revise, revise_nothing
from bridge.events import JSON
from bridge.relay import Relay
from tests.memory_kafka import MemoryKafka, MemoryPublisher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bridge.cometd import Sink
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


class FakeSession:
    """A CometD session that is open until `run` returns, or until it is stopped. A planned stop may call `end`.

    It takes the place of the class `CometdSession`.
    """

    def __init__(
        self, run: Callable[[], Awaitable[object]] | None = None, end: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        self.status = SessionStatus()
        self.running = asyncio.Event()
        self.stopped = asyncio.Event()
        self._until = run or self.stopped.wait
        self.end = end

    def __call__(
        self, http: HttpSession, _: object, __: object, sink: Sink, *, resume: object, handshakes: object
    ) -> FakeSession:
        assert resume is None
        assert handshakes is None
        self._http, self._sink = http, sink
        return self

    async def run(self) -> None:
        async with self._http:
            await self._sink.opened(Opening("c", resumed=False, ack_extension=True, reason="start"))
            self.running.set()
            await self._until()

    def stop(self) -> None:
        self.stopped.set()


def of_type(kafka: MemoryKafka, name: str) -> list[Record]:
    return [record for record in kafka.records if dict(record.headers)["ce_type"] == f"gws.{name}.v1".encode()]


def references(kafka: MemoryKafka) -> list[str]:
    return [msgspec.json.decode(record.value)["referenceId"] for record in of_type(kafka, "acknowledgement")]


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
        self._http = HttpSession("http://127.0.0.1:9", request_timeout=1)
        self.relay = Relay(OPTIONS, self._http, NoCredentials(), publisher, encoding=encoding, chunk=3)
        self._acknowledged = 0

    async def start(self) -> None:
        await self.open()
        await self.poll()

    async def open(self) -> None:
        """Resume the session, or open one. Nothing is polled yet."""
        await self._http.__aenter__()
        resume = await self.relay.begin()
        if resume is not None and resume.client_id == self._server.client_id:
            assert resume.acknowledgement is not None
            self._acknowledged = resume.acknowledgement
            opening = Opening(resume.client_id, resumed=True, ack_extension=True, reason="start")
        else:
            opening = self._open("start" if resume is None else "unknown-client")
        await self.relay.opened(opening)

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

    def lose_reply(self) -> None:
        """Poll, and lose the server's reply on its way."""
        self._server.poll(self._acknowledged)

    async def lose_session(self) -> None:
        await self.relay.opened(self._open("unknown-client"))
        await self.poll()

    async def end(self) -> None:
        await self._http.__aexit__(None, None, None)
