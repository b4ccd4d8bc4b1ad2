"""How a relay may end: by a stop, a successor or an error that the process ends with, and never quietly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import pytest

from bridge.account import AccountBridge
from bridge.cometd import HttpSession
from bridge.cometd.advice import Advice
from bridge.cometd.polling import Polling
from bridge.cometd.session_context import SessionContext
from bridge.delivery import AccountKeys, KafkaProbe
from bridge.errors import Fenced, RelayEnded
from bridge.events import JSON
from bridge.relay import Relay
from bridge.settings import Settings
from tests.behaviour.cometd_listener import RememberingSink
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit.relay_parts import ACCOUNT, OPTIONS, FakeSession, NoCredentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.delivery import Position

UNEXPECTED = [TimeoutError(), TimeoutError("the disk"), OSError("the disk"), KeyError("x"), AssertionError()]


class FailingPublisher(MemoryPublisher):
    def __init__(self, error: BaseException) -> None:
        super().__init__(MemoryKafka(), ACCOUNT)
        self._error = error

    async def start(self) -> Position | None:
        raise self._error


@pytest.mark.parametrize("error", UNEXPECTED, ids=repr)
async def test_a_start_that_fails_is_no_stop(error: Exception) -> None:
    """An unexpected error of the start comes out of `run` as it is; a TimeoutError from inside is not the stop."""
    async with HttpSession("http://127.0.0.1:9", request_timeout=1) as http:
        relay = Relay(OPTIONS, http, NoCredentials(), FailingPublisher(error))
        with pytest.raises(type(error)):
            await relay.run()


async def test_a_stop_during_the_start_ends_it() -> None:
    """A stop while Kafka is away lets `run` return, without an error."""
    kafka = MemoryKafka()
    kafka.available.clear()
    async with HttpSession("http://127.0.0.1:9", request_timeout=1) as http:
        relay = Relay(OPTIONS, http, NoCredentials(), MemoryPublisher(kafka, ACCOUNT))
        run = asyncio.create_task(relay.run())
        await asyncio.sleep(0)
        relay.stop()
        await asyncio.wait_for(run, 5)


async def test_a_stop_after_a_start_that_failed_changes_nothing() -> None:
    """A fleet stops all relays of a slot when the first one is fenced, also one that was fenced in its start."""
    async with HttpSession("http://127.0.0.1:9", request_timeout=1) as http:
        relay = Relay(OPTIONS, http, NoCredentials(), FailingPublisher(Fenced("a successor")))
        with pytest.raises(Fenced):
            await relay.run()
        relay.stop()


class EndlessStore:
    """An in-flight store whose directory can never be read."""

    async def names(self) -> list[str]:
        await asyncio.get_running_loop().create_future()
        return []


class StartedCorrelator:
    """A correlator that knows whether the account is relayed."""

    needed = 0

    def __init__(self) -> None:
        self.relays = asyncio.Event()

    def start(self) -> None:
        self.relays.set()

    async def match(self, *_: object) -> None:
        return None

    def turned(self) -> None: ...

    def stop(self) -> None:
        self.relays.clear()


async def test_a_stop_during_the_start_ends_the_correlators_part_too() -> None:
    """A replica that gives an account up in its takeover no longer decides about the account's operations."""
    async with HttpSession("http://127.0.0.1:9", request_timeout=1) as http:
        publisher = MemoryPublisher(MemoryKafka(), ACCOUNT)
        relay = Relay(OPTIONS, http, NoCredentials(), publisher, in_flight=EndlessStore())  # type: ignore[arg-type]
        correlator = relay.correlator = StartedCorrelator()
        run = asyncio.create_task(relay.run())
        await correlator.relays.wait()
        relay.stop()
        await asyncio.wait_for(run, 5)
    assert not correlator.relays.is_set()


class FailingTransport:
    """Has a session, and fails in its first poll with `error`; a second poll is a failure of the test."""

    client_id = "c"
    poll_timeout = 1.0
    advice = Advice()

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.polls = 0

    async def poll(self, **_: bool) -> None:
        self.polls += 1
        if self.polls > 1:  # without a wait between two polls no deadline of the test would ever end it
            pytest.fail("polled again")
        raise self._error


@pytest.mark.parametrize("error", UNEXPECTED, ids=repr)
async def test_a_poll_that_fails_is_not_a_poll_cut_short(error: Exception) -> None:
    """A poll's own unexpected error ends the session's `run`, also right after the watchdog asked for a new poll."""
    http = HttpSession("http://127.0.0.1:9", request_timeout=1)
    transport = FailingTransport(error)
    one = Polling(transport, SessionContext(OPTIONS, http, NoCredentials(), RememberingSink()))  # type: ignore[arg-type]
    one.resumed()
    one.repoll()
    with pytest.raises(type(error)):
        await asyncio.wait_for(one.run(), 5)
    assert transport.polls == 1


@pytest.fixture
def account_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeSession], AccountBridge]:
    """Makes an account whose relay has that CometD session, and Kafka in memory."""

    def account_with(session: FakeSession) -> AccountBridge:
        monkeypatch.setattr("bridge.relay.relay.CometdSession", session)
        settings = Settings.model_validate(
            {
                "web_services": {"url": "http://127.0.0.1:9", "username": "agent", "password": "secret"},
                "kafka": {"bootstrap_servers": "127.0.0.1:9"},
            }
        )
        [account] = settings.accounts
        return AccountBridge(
            settings,
            account,
            KafkaProbe(settings.kafka, [account.name]),
            JSON,
            None,
            publisher=MemoryPublisher(MemoryKafka(), ACCOUNT),
            keys=AccountKeys(account.name, account.password),
        )

    return account_with


def raises(error: BaseException) -> Callable[[], Awaitable[object]]:
    async def end() -> None:
        raise error

    return end


async def returns() -> None:
    return


async def awaits_a_future_that_a_library_cancels() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    await future


AccountWith: TypeAlias = "Callable[[FakeSession], AccountBridge]"


@pytest.mark.parametrize("error", UNEXPECTED, ids=repr)
async def test_an_unexpected_error_ends_the_account(error: Exception, account_with: AccountWith) -> None:
    """Any unexpected error of the relay comes out of the account's `run`, and so ends the process."""
    with pytest.raises(ExceptionGroup) as caught:
        await account_with(FakeSession(raises(error))).run(disconnect_on_exit=True)
    assert caught.value.exceptions == (error,)


@pytest.mark.parametrize("end", [returns, awaits_a_future_that_a_library_cancels])
async def test_a_quiet_end_is_a_bug(end: Callable[[], Awaitable[object]], account_with: AccountWith) -> None:
    """A relay that returns by itself, or is cancelled from inside, ends the process instead of going missing."""
    with pytest.raises(ExceptionGroup) as caught:
        await account_with(FakeSession(end)).run(disconnect_on_exit=False)
    assert [type(error) for error in caught.value.exceptions] == [RelayEnded]


async def test_ends_that_were_asked_for(account_with: AccountWith) -> None:
    """A stop, before the start too, a successor and a cancellation from outside are no bugs."""
    never_began = account_with(FakeSession(returns))
    never_began.stop()
    await never_began.run(disconnect_on_exit=False)
    await stop_while_running(FakeSession(), account_with, disconnect_on_exit=False)
    await account_with(FakeSession(raises(Fenced("a successor")))).run(disconnect_on_exit=False)
    session = FakeSession()
    cancelled = asyncio.create_task(account_with(session).run(disconnect_on_exit=False))
    await session.running.wait()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def stop_while_running(session: FakeSession, account_with: AccountWith, *, disconnect_on_exit: bool) -> None:
    account = account_with(session)
    run = asyncio.create_task(account.run(disconnect_on_exit=disconnect_on_exit))
    await asyncio.wait({run, asyncio.ensure_future(session.running.wait())}, return_when=asyncio.FIRST_COMPLETED)
    account.stop()
    await run


async def test_a_close_that_fails_is_no_time_out(account_with: AccountWith) -> None:
    """A TimeoutError from inside the close is an error; only the close's own deadline is passed over with a warning."""
    session = FakeSession(end=raises(TimeoutError("from inside")))
    with pytest.raises(ExceptionGroup):
        await stop_while_running(session, account_with, disconnect_on_exit=True)


async def test_a_close_that_hangs_is_given_up(account_with: AccountWith, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that can't be ended does not hold up a planned stop."""
    monkeypatch.setattr("bridge.relay.relay.CLOSE_TIMEOUT", 0.05)
    session = FakeSession(end=asyncio.Event().wait)
    async with asyncio.timeout(30):
        await stop_while_running(session, account_with, disconnect_on_exit=True)
