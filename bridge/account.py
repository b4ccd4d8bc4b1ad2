"""The parts of one account (HTTP session, login, relay) and their state for readiness and GET /sessions."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import structlog

from bridge import tls
from bridge.cometd import HttpSession, Options, State
from bridge.errors import Fenced, LoginNotKept
from bridge.events import session_hash
from bridge.http import Missing, SessionView
from bridge.observability import metrics
from bridge.relay import InFlight, Relay, Watchdog
from bridge.settings import Delivery
from bridge.webservices import Login, LoginState, VoiceSession, WebServicesClient, route_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.cometd import SessionStatus
    from bridge.delivery import AccountKeys, KafkaProbe, Position, Publisher, Slots, UnsignedEvents
    from bridge.events import Encoding
    from bridge.http import Guarantee
    from bridge.operations import Correlator
    from bridge.pacing import Gate
    from bridge.privacy import Concealment
    from bridge.settings import Account, Settings

LEAVE_DEADLINE: Final = 10.0
"""Seconds that an account gets to commit its current batch and to end its session when it leaves."""
LONG_HOLD: Final = 3.0
"""Readiness reports Kafka as missing if a batch has waited longer than these seconds for its commit."""
NOT_KEPT: Final = "Web Services forgets each login at the next request; is the balancer sticky?"
log = structlog.get_logger(__name__)


class AccountBridge:
    """Builds the parts of one account, runs its relay, and reports its state."""

    def __init__(
        self,
        settings: Settings,
        account: Account,
        kafka: KafkaProbe,
        encoding: Encoding,
        privacy: Concealment | None,
        *,
        publisher: Publisher,
        keys: AccountKeys,
        unsigned: UnsignedEvents | None = None,
        handshakes: Gate | None = None,
        came_later: bool = False,
    ) -> None:
        """Build the parts.

        Args:
            settings: the settings of the process.
            account: the account.
            kafka: says whether Kafka can be used.
            encoding: the format of the values.
            privacy: hides phone numbers, if there is one.
            publisher: the publisher of the first `run`.
            keys: the account's keys, for the publishers that `take_over` makes.
            handshakes: limits the simultaneous logins and handshakes of all accounts.
            unsigned: says which events on the operations topic need no signature.
            came_later: whether the account was added after the start of the process.
        """
        site = settings.web_services
        password = account.password.get_secret_value()
        self.name = account.name
        self._settings = settings
        self._kafka = kafka
        metrics.kafka_connected.labels(account.name).set_function(lambda: self._without_kafka() is None)
        concurrency = settings.operations.concurrency
        # Operations use at most `concurrency` connections, so the poll, the login and the heartbeat always find one.
        self.http = HttpSession(
            site.url,
            request_timeout=site.request_timeout,
            connections=2 * concurrency + 8,
            max_reply_bytes=site.max_reply_bytes,
            route=route_of(site),
        )
        """The caller opens this session before `run`. It must stay open while operations of the account use it."""
        self._login = Login(
            self.http,
            account=account.name,
            username=account.username,
            password=password,
            request_timeout=site.request_timeout,
            retry_interval=site.login_retry_interval,
            relayed=lambda: not self.stands_by,
        )
        self.client = WebServicesClient(
            self.http,
            self._login,
            account=account.name,
            request_timeout=site.request_timeout,
        )
        self._voice = VoiceSession(self.client, account.name)
        self.watchdog = Watchdog(account.name, settings.operations.acknowledgement_timeout)
        self._encoding = encoding
        self._privacy = privacy
        self._keys = keys
        self._unsigned = unsigned
        self._handshakes = handshakes
        self._came_later = came_later
        self._in_fleet = settings.fleet.enabled
        self.stands_by = self._in_fleet
        """Whether this replica does not relay the account now. Always False without a fleet."""
        self._correlator: Correlator | None = None
        self._running: asyncio.Task[Any] | None = None
        self._at_rest = asyncio.Event()
        """Set while `run` does not run, and no `run` is about to begin."""
        self._at_rest.set()
        self._leaves = False
        self._relay_through(publisher)

    def _relay_through(self, publisher: Publisher) -> None:
        """Make a new relay for the next `run`, which publishes through `publisher`."""
        site = self._settings.web_services
        self._began_at = time.monotonic()
        self._awaits_session = self._in_fleet
        self._publisher = publisher
        self._relay = Relay(
            Options(
                account=self.name,
                path=site.notifications_path,
                channels=site.channels,
                max_interval=site.max_interval,
                request_timeout=site.request_timeout,
            ),
            self.http,
            self._login,
            publisher,
            handshakes=self._handshakes,
            encoding=self._encoding,
            privacy=self._privacy,
            in_flight=None
            if self._settings.state_dir is None
            else InFlight(self._settings.state_dir, self.name, largest=2 * site.max_reply_bytes),
            on_delivery=self.watchdog.delivered,
            on_open=self._session_opened,
        )
        self._relay.correlator = self._correlator

    def take_over(self, slots: Slots) -> None:
        """Prepare the next `run` with a new publisher of `slots`, because this process relays the account now."""
        self._relay_through(slots.publisher(self._keys, self._unsigned))
        self._at_rest.clear()
        self.stands_by = False

    def let_go(self) -> None:
        """No longer relay the account, after `run`. In a fleet another replica uses the cookies now, so forget them."""
        if self._in_fleet:
            self.stands_by = True
            self.http.forget_cookies()

    @property
    def reached_at(self) -> float:
        """When the account's CometD session last received a reply, on the monotonic clock. 0 if it never did."""
        return (self._status and self._status.heard_at) or 0.0

    async def run(self, *, disconnect_on_exit: bool) -> bool:
        """Relay events until `stop` is called or another bridge takes the account over.

        With `disconnect_on_exit` a stop ends the CometD session too.

        Returns whether a successor has taken the account over.

        Raises:
            RelayEnded: the relay ended although `stop` was not called.
        """
        fenced = False
        self._running = asyncio.current_task()
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(self._voice.run()),
                group.create_task(self.watchdog.run(lambda: self._relay.session)),
            ]
            try:
                await self._relay.run()
                if self._leaves:
                    await self._relay.close("account-removed")
                elif disconnect_on_exit:
                    await self._relay.close("disconnect-on-exit")
            except Fenced:
                fenced = True
                log.warning("fenced", account=self.name, effect="another bridge relays this account now")
            finally:
                for task in beside:
                    task.cancel()
                await self._publisher.stop()
                self._running = None
                self._at_rest.set()
        return fenced

    async def leave(self) -> None:
        """End `run` and the CometD session after the current batch, within `LEAVE_DEADLINE` seconds."""
        self._leaves = True
        self.stop()
        try:
            async with asyncio.timeout(LEAVE_DEADLINE):
                await self._at_rest.wait()
        except TimeoutError:
            log.warning(
                "leave-deadline-passed",
                account=self.name,
                effect="the server ends the CometD session later",
            )
            if self._running is not None:
                self._running.cancel()
                await self._at_rest.wait()
        await self._publisher.stop()

    async def change_password(self, account: Account) -> None:
        """Use the new password of `account` for the next login, and for the account's records in Kafka."""
        await self._keys.change(account.password)
        self._login.change_password(account.username, account.password.get_secret_value())
        self._publisher.sign_again()
        log.info("password-changed", account=self.name, effect="the bridge logs in anew")

    def _session_opened(self) -> None:
        self.watchdog.opened()
        if self._awaits_session:
            self._awaits_session = False
            metrics.fleet_takeover.observe(time.monotonic() - self._began_at)
        if self._settings.web_services.start_voice_session:
            self._voice.due()

    def correlate(self, correlator: Correlator) -> None:
        """Let `correlator` find the operations that the relay's acknowledgements belong to. Call this before `run`."""
        self._correlator = self._relay.correlator = correlator

    def stop(self) -> None:
        """Make `run` return as soon as the current batch is committed."""
        self._relay.stop()

    # -- state --------------------------------------------------------------------------------------------------------

    def missing(self) -> Iterator[Missing]:
        """Yield each reason why the account can't relay or forward now."""
        kafka = self._without_kafka()
        if kafka is not None:
            yield Missing(name="kafka", reason=kafka, account=self.name)
        if self.stands_by:
            return
        if self._login.state is LoginState.REFUSED:
            yield Missing(name="login", reason="Web Services refuses the account's name or password", account=self.name)
        elif self._login.not_kept:
            yield Missing(name="login", reason=f"{LoginNotKept.code}: {NOT_KEPT}", account=self.name)
        status = self._status
        if self._has_grace(status):
            return
        if status is None or not status.connected:
            reason = (status and status.reason) or "not connected yet"
            words = f"{reason}: {tls.TEXTS[reason]}" if reason in tls.TEXTS else reason
            yield Missing(name="cometd", reason=words, account=self.name)
            return
        for channel in self._settings.web_services.channels:
            if channel not in status.confirmed and channel not in self._settings.web_services.optional_channels:
                reason = f"{channel}: {'refused' if channel in status.refused else 'not confirmed yet'}"
                yield Missing(name="subscription", reason=reason, account=self.name)

    def _has_grace(self, status: SessionStatus | None = None) -> bool:
        """Return whether readiness still ignores a missing connection.

        Readiness ignores it for `max_interval` seconds, but only in a fleet, or for an account that was added after the
        start. Otherwise each takeover and each new account would make the load balancer remove a healthy replica.
        """
        since = self._began_at
        if self._in_fleet and status is not None and not status.connected:
            since = max(since, status.heard_at or 0.0)
        in_grace = time.monotonic() - since < self._settings.web_services.max_interval
        return (self._in_fleet or self._came_later) and in_grace

    def _without_kafka(self) -> str | None:
        """Return why the account can't write to Kafka now, None if the account can."""
        state = self._publisher.state
        if self.stands_by or (not state.connected and self._has_grace()):
            return self._kafka.reason
        if not state.connected:
            return self._kafka.finding or state.reason or "not connected"
        held = 0.0 if self._status is None else self._status.held
        return self._kafka.reason if held < LONG_HOLD else f"no commit for {held:.0f} s"

    def view(self, replica: str) -> SessionView:
        """Return the account's entry in the reply to GET /sessions. `replica` is the name of this replica."""
        status = self._status
        if status is None:
            return SessionView(
                account=self.name,
                replica=replica,
                as_of=datetime.now(UTC),
                session=None,
                state=State.STARTING,
                reason=self._publisher.state.reason,
                ack_extension=None,
                guarantee=None,
            )
        return SessionView(
            account=self.name,
            replica=replica,
            as_of=datetime.now(UTC),
            session=session_hash(self.name, status.client_id) if status.client_id else None,
            state=status.state,
            reason=LoginNotKept.code if self._login.not_kept else self._relay.weakness or status.reason,
            ack_extension=status.ack_extension if status.client_id else None,
            guarantee=self._guarantee(ack_extension=status.ack_extension) if status.client_id else None,
            last_reply_at=_moment(status.last_reply_at),
            subscriptions_refused=sorted(status.refused),
            watchdog=self.watchdog.step,
            held_events=status.held_events,
            held_since=_moment(status.held_since),
        )

    def view_elsewhere(self, replica: str | None, position: Position | None) -> SessionView:
        """Return the account's entry if this replica does not relay it. `position` is its last position in Kafka.

        A position is written only after a reply in the session, so at the position's time the session was connected.
        """
        if position is None or not position.client_id:
            return SessionView(
                account=self.name,
                replica=replica,
                session=None,
                state="unknown",
                reason="no session in Kafka",
                ack_extension=None,
                guarantee=None,
                held_events=None,
            )
        acks = position.acknowledgement is not None
        moment = _moment(position.last_reply_at)
        return SessionView(
            account=self.name,
            replica=replica,
            as_of=moment,
            session=session_hash(self.name, position.client_id),
            state=State.CONNECTED,
            ack_extension=acks,
            guarantee=self._guarantee(ack_extension=acks),
            last_reply_at=moment,
            held_events=None,
        )

    @property
    def _status(self) -> SessionStatus | None:
        return self._relay.session.status if self._relay.session is not None else None

    def _guarantee(self, *, ack_extension: bool) -> Guarantee:
        if not ack_extension:
            return "at-most-once"
        return "exactly-once" if self._settings.kafka.delivery is Delivery.EXACTLY_ONCE else "at-least-once"


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
