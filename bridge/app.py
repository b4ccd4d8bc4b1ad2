"""The composition root: builds all parts of the process, runs them, and stops them in order."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AsyncExitStack, suppress
from functools import cached_property
from socket import gethostname
from typing import TYPE_CHECKING, Any, Final

import structlog

from bridge import __version__
from bridge.accounts import BridgeAccounts
from bridge.cometd import HttpSession
from bridge.delivery import (
    KafkaLedger,
    RetentionWatch,
    Slots,
    derive_ahead,
    position_topic,
    topic_name,
    transaction_gate,
)
from bridge.errors import InFlightUnwritable, SettingsError
from bridge.fleet import Accounts, Fleet, RelayTasks
from bridge.http import (
    MANAGEMENT_PORT,
    ConsoleSources,
    allowed_hosts,
    authentication_of,
    create_app,
    create_management_app,
    serve,
)
from bridge.incidents import Incidents
from bridge.observability import Rates, metrics
from bridge.operations import (
    LEDGER_TOPIC,
    PLACED_TOPICS,
    Limits,
    OperationRecords,
    OperationsService,
    signature_check,
)
from bridge.privacy import concealment_of
from bridge.registry import encoding_of
from bridge.relay import is_open_to_others, make_writable
from bridge.requests import RequestConsumer, request_consumer, request_topics
from bridge.settings import AccountsFile
from bridge.status import Status
from bridge.webservices import UpstreamWatch, answers, route_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import FastAPI

    from bridge.evidence import EvidenceMaker
    from bridge.privacy import Concealment
    from bridge.settings import Settings

DRAIN_DEADLINE: Final = 3.0
"""Seconds that a planned stop waits for Web Services to accept or reject the operations under way."""
READY_INTERVAL: Final = 0.5
"""Seconds between two looks whether the bridge is ready."""
log = structlog.get_logger(__name__)


class Bridge:
    """The whole bridge process, with all accounts of `settings`.

    Raises:
        SettingsError: a part can't be made from the settings, such as the authentication from its file of tokens.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._retention = RetentionWatch(settings.kafka)
        self._encoding = encoding_of(settings.kafka)
        privacy = concealment_of(settings.privacy)
        self._accounts = accounts = BridgeAccounts(settings, self._encoding, privacy)
        ledger = KafkaLedger(
            settings.kafka,
            LEDGER_TOPIC,
            PLACED_TOPICS,
            self._encoding,
            age=settings.operations.view_age,
            prompt=settings.fleet.enabled,
        )
        self._operations = OperationsService(
            Limits(**settings.operations.model_dump(exclude={"request_topic"})),
            {name: account.client for name, account in accounts.bridges.items()},
            ledger,
            OperationRecords(self._encoding, privacy, accounts.keys, accounts.unsigned),
            on_accepted=accounts.accepted,
            in_fleet=settings.fleet.enabled,
        )
        self._replica = settings.fleet.replica or host_name()
        site = settings.web_services
        self._way = HttpSession(site.url, request_timeout=site.request_timeout, connections=1, route=route_of(site))
        """The HTTP session in which `_upstream` asks whether Web Services answers. It belongs to no account."""
        self._upstream = UpstreamWatch(self._reached_at, lambda: answers(self._way))
        self._incidents = Incidents(settings.kafka, self._encoding)
        self._rates = Rates()
        self._fleet = self._make_fleet() if settings.fleet.enabled else None
        self._alone = RelayTasks(accounts.slots, accounts.bridges.values, together=False)
        self._requests = self._make_requests(privacy) if settings.operations.request_topic else None
        self._file = None if settings.accounts_file is None else AccountsFile(settings.accounts_file, accounts.apply)
        self.status = Status(
            settings.kafka,
            self._encoding,
            accounts,
            fleet=self._fleet,
            file=self._file,
            requests=self._requests,
            replica=self._replica,
            since=time.time(),
        )
        accounts.serve(self._operations, on_change=self._relays.accounts_changed)
        self._app = self._make_app()
        reads = [topic_name(settings.kafka, topic) for topic in request_topics(settings)]
        metrics.start(__version__, [ledger.topic, position_topic(settings.kafka), *reads])

    def _make_fleet(self) -> Fleet:
        gate = transaction_gate()
        # The fleet's membership has already created missing topics, so a takeover does not check for them.
        settings = self._settings.kafka.model_copy(update={"create_topics": False})

        def slots(count: int) -> Slots:
            return Slots(settings, self._encoding, gate=gate, count=count)

        accounts = self._accounts
        parts = Accounts(accounts.bridges, accounts.keys, lambda: self._upstream.answered_at, slots)
        return Fleet(self._settings.kafka, self._replica, parts, session_timeout=self._settings.fleet.session_timeout)

    def _make_requests(self, privacy: Concealment | None) -> RequestConsumer:
        return request_consumer(
            self._settings,
            self._operations,
            self._encoding,
            privacy,
            accounts=self._accounts.bridges,
            upstream=self._upstream,
        )

    async def run(
        self,
        stop: asyncio.Event,
        *,
        disconnect_on_exit: bool = False,
        linger: float = 0.0,
        listening: Callable[[str], None] | None = None,
        ready: Callable[[], None] | None = None,
    ) -> None:
        """Run until `stop` is set. Without a fleet, also end when other bridges have taken all accounts over.

        The CometD sessions stay alive for a successor, unless `disconnect_on_exit`.

        Args:
            stop: set it for a planned stop, which takes less than 10 s.
            disconnect_on_exit: end the CometD sessions on a planned stop.
            linger: seconds to stay idle once every account has been taken over. Without this pause a supervisor such as
                Kubernetes would restart the bridge at once, and the new process would take the accounts back.
            listening: called with the base URL of the REST side once the REST side takes requests.
            ready: called once, within `READY_INTERVAL` seconds after the bridge has become ready.

        Raises:
            SettingsError: `state_dir` can't be written.
            ExceptionGroup: contains a SettingsError if the HTTP address can't be bound.
        """
        if self._settings.state_dir is not None:
            try:
                await asyncio.to_thread(make_writable, self._settings.state_dir)
            except InFlightUnwritable as error:
                raise SettingsError([f"BRIDGE_STATE_DIR: {error}"]) from None
            if await asyncio.to_thread(is_open_to_others, self._settings.state_dir):
                log.warning(
                    "state-dir-open-to-others", effect="other users of this machine can delete unpublished events"
                )
        async with AsyncExitStack() as connections, asyncio.TaskGroup() as group:
            await connections.enter_async_context(self._way)
            await connections.enter_async_context(self._accounts)
            servers = [group.create_task(self._serve(listening)), *self._management(group)]
            beside = [group.create_task(run()) for run in self._parts_beside()]
            if ready is not None:
                beside.append(group.create_task(self._call_when_ready(ready)))
            relays = group.create_task(self._relay(disconnect_on_exit=disconnect_on_exit))
            until_stop = [one.run for one in (self._file, self._requests) if one is not None]
            watching = [group.create_task(run()) for run in until_stop]
            await _first(stop, relays)
            for task in watching:
                task.cancel()
            self._relays.stop()
            drained = group.create_task(self._operations.drain(DRAIN_DEADLINE))
            # Each of these tasks ends within a deadline of its own. The relays' deadline is in `RelayTasks`.
            await asyncio.wait([relays, drained, *watching])
            if linger and not stop.is_set():
                await _linger(stop, linger)
            for task in (*servers, *beside):
                task.cancel()
        log.info("stopped")

    def _parts_beside(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Return the functions that run beside the relays and the servers, until the bridge stops."""
        parts = [self._accounts.kafka.run, self._encoding.run, self._operations.run, self._retention.run]
        if self._fleet is not None:
            parts.append(self._derive_ahead)
        if self._fleet is not None or self._requests is not None:
            parts.append(self._upstream.run)
        if self._settings.http.console:
            parts += [self._incidents.run, self._rates.run]
        return parts

    async def _call_when_ready(self, ready: Callable[[], None]) -> None:
        while self.status.readiness():  # noqa: ASYNC110 -- readiness is computed from many parts, which tell nobody
            await asyncio.sleep(READY_INTERVAL)
        ready()

    async def _derive_ahead(self) -> None:
        await derive_ahead(self._accounts.keys, idle=lambda: not self.status.readiness())

    def _reached_at(self) -> float:
        """Return when a CometD session of this replica last received a reply, on the monotonic clock, or 0."""
        return max((account.reached_at for account in self._accounts.bridges.values()), default=0.0)

    async def _relay(self, *, disconnect_on_exit: bool) -> None:
        if self._fleet is None:
            await self._alone.run(disconnect_on_exit=disconnect_on_exit)
            return
        if disconnect_on_exit:
            log.warning("disconnect-on-exit-ignored", effect="the sessions stay alive for other replicas of the fleet")
        await self._fleet.run()

    @property
    def _relays(self) -> Fleet | RelayTasks:
        return self._alone if self._fleet is None else self._fleet

    def _make_app(self) -> FastAPI:
        http = self._settings.http
        return create_app(
            self._operations,
            readiness=self.status.readiness,
            notes=self.status.notes,
            session_views=self.status.sessions,
            fleet_session_views=self.status.fleet_sessions,
            fleet_view=self.status.fleet,
            evidence=self._make_evidence,
            authentication=authentication_of(http.authentication),
            enabled=self._settings.operations.enabled,
            management=http.management_port is None,
            topic_prefix=self._settings.kafka.topic_prefix,
            hosts=allowed_hosts(http),
            console_sources=self._console_sources() if http.console else None,
        )

    @cached_property
    def _evidence(self) -> EvidenceMaker:
        from bridge.evidence import EvidenceMaker  # noqa: PLC0415 -- 2 % of each start, and used at its first call only

        return EvidenceMaker(self._settings, self._encoding, signature_check(self._accounts.keys))

    async def _make_evidence(self, reference: str) -> bytes:
        return await self._evidence.file(reference)

    async def _serve(self, listening: Callable[[str], None] | None) -> None:
        host = self._settings.http.host

        def ready(port: int) -> None:
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            log.info("listening", url=url)
            if listening is not None:
                listening(url)

        await serve(self._app, host, self._settings.http.port, ready=ready)

    def _console_sources(self) -> ConsoleSources:
        secret = self._settings.http.console_secret
        if secret is None and self._fleet is not None and self._settings.http.authentication.method != "none":
            log.warning(
                "console-secret-missing",
                effect="people must sign in to each replica's console; set http.console_secret on all replicas",
            )
        return ConsoleSources(
            accounts=lambda: [account.name for account in self._accounts.in_order],
            incidents=self._incidents.view,
            rates=lambda: self._rates.intervals,
            replica=self._replica,
            in_fleet=self._fleet is not None,
            acknowledgement_timeout=self._settings.operations.acknowledgement_timeout,
            secret=None if secret is None else secret.get_secret_value(),
        )

    def _management(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        http = self._settings.http
        if http.management_port is None:
            return []
        app = create_management_app(self.status.readiness, self.status.notes)
        served = serve(
            app,
            http.host,
            http.management_port,
            ready=lambda port: log.info("management-listening", port=port),
            setting=MANAGEMENT_PORT,
        )
        return [group.create_task(served)]


def host_name() -> str:
    """Return the default name of a replica: the host name, with `-` for each character that is not allowed."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", gethostname())[:253] or "replica"


async def _linger(stop: asyncio.Event, seconds: float) -> None:
    """Wait until `stop` is set, but for `seconds` at most. After a planned takeover `stop` is set soon."""
    log.info("lingering", seconds=seconds)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _first(stop: asyncio.Event, relays: asyncio.Task[None]) -> None:
    """Wait until `stop` is set, or until all relays have ended."""
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([stopped, relays], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        await asyncio.wait([stopped])
