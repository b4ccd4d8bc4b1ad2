"""The composition root: builds all parts of the process, runs them, and stops them in order."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final

import structlog

from bridge import __version__
from bridge.account import AccountBridge
from bridge.delivery import AccountKeys, KafkaLedger, KafkaProbe, Slots, UnsignedEvents, position_topic, topic_names
from bridge.errors import InFlightUnwritable, SettingsError
from bridge.http import Missing, allowed_hosts, authentication_of, create_app, create_management_app, serve
from bridge.observability import metrics
from bridge.operations import LEDGER_TOPIC, PLACED_TOPICS, Limits, OperationRecords, OperationsService
from bridge.privacy import concealment_of
from bridge.registry import encoding_of
from bridge.relay import is_open_to_others, make_writable

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.http import SessionView
    from bridge.settings import Settings

STOP_DEADLINE: Final = 6.0
"""Seconds that a planned stop waits for the commit of current batches. Later a successor must publish them."""
DRAIN_DEADLINE: Final = 3.0
"""Seconds that a planned stop waits for Web Services to accept or reject the operations under way."""
log = structlog.get_logger(__name__)


class Bridge:
    """The whole bridge process, with all accounts of `settings`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kafka = KafkaProbe(settings.kafka, [account.name for account in settings.accounts])
        self._encoding = encoding_of(settings.kafka)
        privacy = concealment_of(settings.privacy)
        keys = {
            account.name: AccountKeys(account.name, account.password, settings.kafka.topic_prefix)
            for account in settings.accounts
        }
        unsigned = {account.name: UnsignedEvents(settings.operations.view_age) for account in settings.accounts}
        slots = Slots(settings.kafka, keys.values(), self._encoding, unsigned)
        self._accounts = [
            AccountBridge(
                settings,
                account,
                self._kafka,
                self._encoding,
                privacy,
                publisher=slots.publisher(account.name),
            )
            for account in settings.accounts
        ]
        accounts = {account.name: account for account in self._accounts}
        ledger = KafkaLedger(
            settings.kafka, LEDGER_TOPIC, PLACED_TOPICS, self._encoding, age=settings.operations.view_age
        )
        self._operations = OperationsService(
            Limits(**settings.operations.model_dump()),
            {name: account.client for name, account in accounts.items()},
            ledger,
            OperationRecords(self._encoding, privacy, keys, unsigned),
            on_accepted=lambda name: accounts[name].watchdog.accepted(),
        )
        for name, account in accounts.items():
            account.correlate(self._operations.correlator(name))
        metrics.start(
            __version__,
            [account.name for account in self._accounts],
            topic_names(settings.kafka),
            [ledger.topic, position_topic(settings.kafka)],
        )

    async def run(
        self,
        stop: asyncio.Event,
        *,
        disconnect_on_exit: bool = False,
        linger: float = 0.0,
        listening: Callable[[str], None] | None = None,
    ) -> None:
        """Run until `stop` is set, or every account has been taken over by another bridge.

        The CometD sessions stay alive for a successor, unless `disconnect_on_exit`.

        Args:
            stop: set it for a planned stop, which takes less than 10 s.
            disconnect_on_exit: end the CometD sessions on a planned stop.
            linger: seconds to stay idle once every account has been taken over. Without this pause a supervisor such as
                Kubernetes would restart the bridge at once, and the new process would take the accounts back.
            listening: called with the base URL of the REST side once the REST side takes requests.

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
            for account in self._accounts:
                await connections.enter_async_context(account.http)
            servers = [group.create_task(self._serve(listening)), *self._management(group)]
            parts = (self._kafka.run, self._encoding.run, self._operations.run)
            beside = [group.create_task(run()) for run in parts]
            relays = [group.create_task(one.run(disconnect_on_exit=disconnect_on_exit)) for one in self._accounts]
            await _first(stop, relays)
            for account in self._accounts:
                account.stop()
            drained = group.create_task(self._operations.drain(DRAIN_DEADLINE))
            _, late = await asyncio.wait(relays, timeout=STOP_DEADLINE)
            for relay in late:
                log.warning("stop-deadline-passed", effect="a successor must publish the current batch")
                relay.cancel()
            await drained
            if linger and not stop.is_set():
                await _linger(stop, linger)
            for task in (*servers, *beside):
                task.cancel()
        log.info("stopped")

    def readiness(self) -> list[Missing]:
        """Return what keeps operations and events from flowing. The list is empty when the bridge is ready."""
        if self._encoding.missing is not None:  # no account starts before the registry answers
            return [Missing(name="schema-registry", reason=self._encoding.missing)]
        return [missing for account in self._accounts for missing in account.missing()]

    def sessions(self) -> list[SessionView]:
        """Return the state of each account's CometD session."""
        return [account.view() for account in self._accounts]

    async def _serve(self, listening: Callable[[str], None] | None) -> None:
        host = self._settings.http.host

        def ready(port: int) -> None:
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            log.info("listening", url=url)
            if listening is not None:
                listening(url)

        http = self._settings.http
        app = create_app(
            self._operations,
            readiness=self.readiness,
            session_views=self.sessions,
            authentication=authentication_of(http.authentication),
            enabled=self._settings.operations.enabled,
            management=http.management_port is None,
            topic_prefix=self._settings.kafka.topic_prefix,
            hosts=allowed_hosts(http),
        )
        await serve(app, host, http.port, ready=ready)

    def _management(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        http = self._settings.http
        if http.management_port is None:
            return []
        app = create_management_app(self.readiness)
        served = serve(
            app,
            http.host,
            http.management_port,
            ready=lambda port: log.info("management-listening", port=port),
            setting="BRIDGE_HTTP__MANAGEMENT_PORT",
        )
        return [group.create_task(served)]


async def _linger(stop: asyncio.Event, seconds: float) -> None:
    """Wait for a stop, at most `seconds`. After a planned takeover the stop comes soon."""
    log.info("lingering", seconds=seconds)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _first(stop: asyncio.Event, relays: list[asyncio.Task[None]]) -> None:
    stopped = asyncio.create_task(stop.wait())
    ended = asyncio.ensure_future(asyncio.wait(relays))
    try:
        await asyncio.wait([stopped, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        ended.cancel()
        await asyncio.wait([stopped, ended])
