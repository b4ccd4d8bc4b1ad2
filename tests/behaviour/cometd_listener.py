"""One process's side of a CometD session: its HTTP session, its login, its session, and a sink that remembers."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

from bridge.cometd import Batch, CometdSession, HttpReply, HttpSession, Opening, Options, Resume, State
from bridge.cometd.http.incoming import MAX_REPLY_BYTES
from bridge.errors import KafkaUnavailable
from bridge.observability import metrics
from bridge.pacing import Gate
from tests.waiting import eventually

LOGIN_COOKIE: Final = "JSESSIONID"
CHANNELS: Final = ("/v2/me/*", "/me/internal")


class PasswordWhenAsked:
    """Shows the password only where there is no login, so that a lost login is noticed as a challenge."""

    def __init__(self, http: HttpSession) -> None:
        self._http = http
        self.challenges = 0

    async def headers(self) -> Mapping[str, str]:
        if LOGIN_COOKIE in self._http.cookies():
            return {}
        return {"Authorization": aiohttp.encode_basic_auth("agent", "secret")}

    async def challenged(self, reply: HttpReply, *, sent_at: float) -> bool:  # noqa: ARG002 -- the protocol's signature
        self.challenges += 1
        assert reply.status == 403
        self._http.forget_cookie(LOGIN_COOKIE)
        return True


class RememberingSink:
    """Keeps events; `close` makes it hold batches until `open`, `fails` makes it refuse them."""

    def __init__(self) -> None:
        self.openings: list[Opening] = []
        self.batches: list[Batch] = []
        """Those that were kept."""
        self.events: list[int] = []
        """What was kept, in the order of arrival."""
        self.arrivals: list[int] = []
        """What came that the server does not send again."""
        self.refused: list[int] = []
        self.held: Batch | None = None
        self.fails = False
        self.on_open: Callable[[], None] = lambda: None
        self.displacements = 0
        """How many of its polls ended because another client polled the session."""
        self.acknowledgement: int | None = None
        """Of the newest batch that was kept."""
        self._base = 0
        """How many events were kept when the newest reply was acknowledged."""
        self._gate = asyncio.Event()
        self._gate.set()

    def close(self) -> None:
        self._gate.clear()

    def open(self) -> None:
        self._gate.set()

    async def one_more(self) -> None:
        """Keep the batch that is held, and no other."""
        await eventually(lambda: self.held)
        kept = len(self.batches)
        self._gate.set()
        self._gate.clear()  # wakes who waits now, and lets nobody else pass
        await eventually(lambda: len(self.batches) > kept)

    async def opened(self, opening: Opening) -> None:
        self.openings.append(opening)
        self.on_open()
        self.acknowledgement = None
        self._base = len(self.events)
        if opening.ack_extension and not opening.resumed:
            self.acknowledgement = 0

    async def displaced(self) -> None:
        self.displacements += 1

    async def arrived(self, batch: Batch) -> None:
        self.arrivals += [msgspec.json.decode(event.data, type=int) for event in batch.events]

    async def received(self, batch: Batch) -> None:
        events = [msgspec.json.decode(event.data, type=int) for event in batch.events]
        if self.fails and events:
            self.refused += events
            raise KafkaUnavailable("the test's sink refuses the batch")
        self.held = batch if events else None
        await self._gate.wait()
        self.held = None
        self.batches.append(batch)
        if batch.sent_again:  # as the relay does: some of it may be kept already
            events = events[len(self.events) - self._base - batch.offset :]
        self.events += events
        if batch.acknowledgement is not None:
            self.acknowledgement = batch.acknowledgement
        if not batch.more:
            self._base = len(self.events)


class Listener:
    """Listens as soon as it is entered, until it is left or stopped. `options` are those of `bridge.cometd.Options`."""

    def __init__(
        self,
        url: str,
        *,
        resume: Resume | None = None,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        handshakes: Gate | None = None,
        sink: RememberingSink | None = None,
        **options: Any,
    ) -> None:
        settings: dict[str, Any] = {
            "account": f"test-{uuid.uuid4().hex[:8]}",
            "path": "/api/v2/notifications",
            "channels": CHANNELS,
            "request_timeout": 1.0,
        }
        self.options = Options(**(settings | options))
        self.sink = sink or RememberingSink()
        self.http = HttpSession(url, request_timeout=self.options.request_timeout, max_reply_bytes=max_reply_bytes)
        self.credentials = PasswordWhenAsked(self.http)
        self.session = CometdSession(
            self.http, self.credentials, self.options, self.sink, resume=resume, handshakes=handshakes
        )

    async def __aenter__(self) -> Self:
        await self.http.__aenter__()
        self.run = asyncio.create_task(self.session.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cancel()
        await self.http.__aexit__(kind, error, trace)

    async def cancel(self) -> None:
        """End as a killed process would: no message goes to the server."""
        self.run.cancel()
        with suppress(asyncio.CancelledError, KafkaUnavailable):
            await self.run

    async def listening(self, *, sessions: int = 1) -> None:
        """Wait until a session polls, the n-th for the sink or a later one, with all subscriptions confirmed."""
        await eventually(
            lambda: (
                len(self.sink.openings) >= sessions
                and self.session.status.state is State.CONNECTED
                and self.session.status.confirmed == set(CHANNELS)
            )
        )

    async def has_kept(self, *events: int, within: float = 30.0) -> None:
        """Wait until the sink has kept as many events; then they must be these."""
        await eventually(lambda: len(self.sink.events) >= len(events), within=within)
        assert self.sink.events == list(events)

    def resume(self) -> Resume:
        """What this process leaves to its successor."""
        client_id = self.session.status.client_id
        assert client_id is not None
        return Resume(client_id, self.sink.acknowledgement, self.http.cookies())

    @property
    def handshakes(self) -> int:
        """How many were tried, with any result."""
        counted = metrics.cometd_handshakes.collect()
        return int(
            sum(
                sample.value
                for metric in counted
                for sample in metric.samples
                if sample.name.endswith("_total") and sample.labels["account"] == self.options.account
            )
        )
