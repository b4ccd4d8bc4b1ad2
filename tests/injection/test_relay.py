"""The relay and the operations of one account while HTTP, the clock or the disk fail at one call."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import msgspec
import pytest
from aiohttp.client_proto import ResponseHandler

from bridge.cometd import HttpSession, Options
from bridge.errors import UpstreamError
from bridge.operations import LEDGER_TOPIC, Limits, OperationRecords, OperationsService
from bridge.relay import InFlight, Relay
from bridge.simulator import Simulator
from bridge.webservices import Login, WebServicesClient
from tests.fuzz import fast_loop, published
from tests.injection.injector import Injector
from tests.memory_kafka import MemoryKafka, MemoryLedger, MemoryPublisher
from tests.unit.operation_parts import ACCOUNT, submission
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WITHIN = 30.0
ENVIRONMENT: dict[str, Callable[[], BaseException]] = {
    "reset": lambda: ConnectionResetError(errno.ECONNRESET, "reset"),
    "no descriptors": lambda: OSError(errno.EMFILE, "too many open files"),
    "no route": lambda: OSError(errno.EHOSTUNREACH, "no route"),
    "timeout": TimeoutError,
    "no name": lambda: socket.gaierror(socket.EAI_AGAIN, "try again"),
    "tls": lambda: ssl.SSLError(1, "handshake failure"),
    "disconnected": aiohttp.ServerDisconnectedError,
    "payload": lambda: aiohttp.ClientPayloadError("cut"),
    "foreign cancellation": asyncio.CancelledError,
}
"""What a network does."""
ODD: dict[str, Callable[[], BaseException]] = {
    "value": lambda: ValueError("odd"),
    "decode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
    "key": lambda: KeyError("odd"),
    "memory": MemoryError,
    "runtime": lambda: RuntimeError("odd"),
}
"""What is a fault of a library or of the bridge: it may end the process, never lose or double an event."""
HTTP_SEAMS: dict[str, tuple[Any, str]] = {
    "request": (aiohttp.ClientSession, "_request"),
    "connection": (aiohttp.TCPConnector, "connect"),
    "head of the reply": (aiohttp.ClientResponse, "start"),
    "body of the reply": (aiohttp.StreamReader, "_read_nowait"),
}


class Life:
    """One process's parts for the account, without Kafka: they end by an error, or when the block ends."""

    def __init__(self, url: str, kafka: MemoryKafka, directory: Path | None = None) -> None:
        self._http = HttpSession(url, request_timeout=20)
        self._login = Login(
            self._http, account=ACCOUNT, username="agent", password="secret", request_timeout=20, retry_interval=60
        )
        client = WebServicesClient(self._http, self._login, account=ACCOUNT, request_timeout=20)
        ledger = MemoryLedger(kafka, LEDGER_TOPIC)
        limits = Limits(acknowledgement_timeout=60)
        self.service = OperationsService(limits, {ACCOUNT: client}, ledger, OperationRecords())
        options = Options(account=ACCOUNT, path="/api/v2/notifications", channels=("/v2/me/*", "/me/internal"))
        in_flight = None if directory is None else InFlight(directory, ACCOUNT)
        self._relay = Relay(options, self._http, self._login, MemoryPublisher(kafka, ACCOUNT), in_flight=in_flight)
        self._relay.correlator = self.service.correlator(ACCOUNT)
        self.error: BaseException | None = None

    @property
    def connected(self) -> bool:
        status = None if self._relay.session is None else self._relay.session.status
        return status is not None and status.connected and len(status.confirmed) == 2

    @property
    def over(self) -> bool:
        return any(task.done() for task in self._tasks)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        self._tasks = [asyncio.create_task(self._relay.run()), asyncio.create_task(self.service.run())]
        return self

    async def __aexit__(self, *_: object) -> None:
        ended = [task for task in self._tasks if task.done()]
        self._relay.stop()
        if not ended:
            await asyncio.wait(self._tasks[:1], timeout=WITHIN)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._http.__aexit__(None, None, None)
        for task in ended:
            assert not task.cancelled(), "ended as if it had been asked to"
            self.error = task.exception()
            assert self.error is not None, "ended without a word"


def acknowledged(kafka: MemoryKafka) -> list[str]:
    """The references of the acknowledgements that consumers see, in their order."""
    return [
        msgspec.json.decode(record.value)["referenceId"]
        for record in kafka.records
        if record.topic == "acknowledgements.v1"
    ]


async def lived(
    injector: Injector | Clock, *, survives: bool, acks: bool = True, directory: Path | None = None
) -> None:
    """Relay some events and an operation while the seam fails once; where the process ends by that, start it again."""
    kafka = MemoryKafka()
    expected: list[str] = []
    async with Simulator(ack_extension=acks, timeout=15.0, max_interval=600.0, acknowledgement_delay=0.0) as simulator:
        with injector:
            life = Life(simulator.url, kafka, directory)
            async with life:
                await eventually(lambda: life.connected or life.over, within=WITHIN)
                if life.connected:  # else there is no session yet that anything could be sent to
                    expected += publish(simulator, "e0", "e1", "e2")
                    await eventually(lambda: "e2" in acknowledged(kafka) or life.over, within=WITHIN)
                with suppress(UpstreamError, TimeoutError, *(() if survives else (Exception,))):
                    async with asyncio.timeout(WITHIN):
                        if not life.over:
                            await life.service.submit(submission("op"))
                await eventually(lambda: injector.struck or life.connected or life.over, within=WITHIN)
        if survives:
            assert life.error is None, repr(life.error)
        async with Life(simulator.url, kafka, directory) as heir:
            await eventually(lambda: heir.connected, within=WITHIN)
            expected += publish(simulator, "e3", "e4", "e5")
            await eventually(lambda: "e5" in acknowledged(kafka), within=WITHIN)
        assert simulator.sessions, "the session was lost"
    published.check(kafka.records)
    arrived = [one for one in acknowledged(kafka) if one != "op"]
    assert list(dict.fromkeys(arrived)) == arrived
    changes = [msgspec.json.decode(one.value)["change"] for one in kafka.records if one.topic == "sessions.v1"]
    if "gap" not in changes:  # no session, no event; which the gap tells
        assert arrived == expected


def of_a_client(owner: Any, *_: Any, **__: Any) -> bool:
    """Leave the stand-in's own server alone, which reads by the same class."""
    return not isinstance(owner, aiohttp.StreamReader) or isinstance(owner._protocol, ResponseHandler)


def publish(simulator: Simulator, *references: str) -> Sequence[str]:
    """Send an acknowledgement for each; return them."""
    for reference in references:
        body = {"messageType": "OutboundRecordMessage", "notificationType": "X", "referenceId": reference}
        simulator.publish("/v2/me/outbound", body)
    return references


@pytest.mark.parametrize("seam", HTTP_SEAMS)
@pytest.mark.parametrize("error", [*ENVIRONMENT, *ODD])
def test_a_failure_of_http_costs_nothing(seam: str, error: str) -> None:
    """Each of the first exchanges may fail in any way: the network's failures are survived, and no event is lost."""

    async def main() -> None:
        owner, name = HTTP_SEAMS[seam]
        errors = ENVIRONMENT | ODD
        for at in (1, 2, 3, 5):
            injector = Injector(owner, name, errors[error], at=at, only=of_a_client)
            await lived(injector, survives=error in ENVIRONMENT)

    fast_loop.run(main())


class Clock:
    """While its block lasts, the system's clock jumps to another time at its `at`-th reading."""

    def __init__(self, change: Callable[[float], float], at: int) -> None:
        self._change = change
        self._at = at
        self._calls = 0

    @property
    def struck(self) -> bool:
        return self._calls >= self._at

    def __enter__(self) -> None:
        self._time = time.time
        time.time = self._read

    def __exit__(self, *_: object) -> None:
        time.time = self._time

    def _read(self) -> float:
        self._calls += 1
        return self._change(self._time()) if self.struck else self._time()


JUMPS: dict[str, Callable[[float], float]] = {
    "a day back": lambda now: now - 86_400,
    "to 1970": lambda _: 5.0,
    "ten years ahead": lambda now: now + 315_000_000,
    "to before 1970": lambda _: -5.0,
    "to the year 10000": lambda _: 253_402_300_900.0,
}


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps_costs_nothing(jump: str) -> None:
    """The system's clock may be set to any time while the bridge runs: it goes on, and no event is lost or doubled."""

    async def main() -> None:
        for at in (1, 8, 20):
            await lived(Clock(JUMPS[jump], at), survives=True)

    fast_loop.run(main())


FULL = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES, errno.EMFILE)


@pytest.mark.parametrize("call", ["open", "fsync", "replace", "unlink", "close"])
def test_a_disk_that_fails_costs_nothing(tmp_path: Path, call: str) -> None:
    """Without acknowledgements each use of the in-flight file may fail: the flow goes on, and no event is doubled."""

    async def main() -> None:
        for number, code in enumerate(FULL):
            directory = tmp_path / str(number)
            directory.mkdir()
            failure = Injector(os, call, partial(OSError, code, os.strerror(code)), at=2 + number, only=in_a_thread)
            await lived(failure, survives=True, acks=False, directory=directory)

    fast_loop.run(main())


def in_a_thread(*_: Any, **__: Any) -> bool:
    """Count the calls of the bridge's own files alone, which it makes in threads."""
    return threading.current_thread() is not threading.main_thread()
