"""How a relay may end: by a stop, a successor or an error that the process ends with, and never quietly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bridge.account import AccountBridge
from bridge.cometd import HttpSession
from bridge.cometd.advice import Advice
from bridge.cometd.polling import Polling
from bridge.delivery import AccountKeys, KafkaProbe, UnsignedEvents
from bridge.errors import Fenced, RelayEnded
from bridge.events import JSON
from bridge.relay import Relay
from bridge.settings import Settings
from tests.behaviour.cometd_listener import Listener
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit.test_relay import ACCOUNT, OPTIONS, NoCredentials

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


class FailingTransport:
    """Has a session, and fails in every poll with `error`."""

    client_id = "c"
    poll_timeout = 1.0
    advice = Advice()

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.polls = 0

    async def poll(self, **_: bool) -> None:
        self.polls += 1
        raise self._error


@pytest.mark.parametrize("error", UNEXPECTED, ids=repr)
async def test_a_poll_that_fails_is_not_a_poll_cut_short(error: Exception) -> None:
    """A poll's own unexpected error ends the session's `run`, also right after the watchdog asked for a new poll."""
    wiring = Listener("http://127.0.0.1:9").session._context
    transport = FailingTransport(error)
    one = Polling(transport, wiring)  # type: ignore[arg-type]
    one.resumed()
    one.repoll()
    with pytest.raises(type(error)):
        await asyncio.wait_for(one.run(), 5)
    assert transport.polls == 1


class Ending:
    """A relay that ends as `end` does."""

    def __init__(self, end: Callable[[], Awaitable[object]]) -> None:
        self.session = None
        self.weakness = None
        self._end = end
        self._close: Callable[[], Awaitable[object]] = end

    async def run(self) -> None:
        await self._end()

    async def close(self) -> None:
        await self._close()

    def stop(self) -> None:
        pass


def account_with(relay: object) -> AccountBridge:
    settings = Settings.model_validate(
        {
            "web_services": {"url": "http://127.0.0.1:9", "username": "agent", "password": "secret"},
            "kafka": {"bootstrap_servers": "127.0.0.1:9"},
        }
    )
    [account] = settings.accounts
    bridge = AccountBridge(
        settings,
        account,
        KafkaProbe(settings.kafka, [account.name]),
        JSON,
        None,
        keys=AccountKeys(account.name, account.password),
        unsigned=UnsignedEvents(age=60),
    )
    bridge._relay = relay  # type: ignore[assignment]
    return bridge


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


@pytest.mark.parametrize("error", UNEXPECTED, ids=repr)
async def test_an_unexpected_error_ends_the_account(error: Exception) -> None:
    """Any unexpected error of the relay comes out of the account's `run`, and so ends the process."""
    with pytest.raises(ExceptionGroup) as caught:
        await account_with(Ending(raises(error))).run(disconnect_on_exit=True)
    assert caught.value.exceptions == (error,)


@pytest.mark.parametrize("end", [returns, awaits_a_future_that_a_library_cancels])
async def test_a_quiet_end_is_a_bug(end: Callable[[], Awaitable[object]]) -> None:
    """A relay that returns by itself, or is cancelled from inside, ends the process instead of going missing."""
    with pytest.raises(ExceptionGroup) as caught:
        await account_with(Ending(end)).run(disconnect_on_exit=False)
    assert [type(error) for error in caught.value.exceptions] == [RelayEnded]


async def test_ends_that_were_asked_for() -> None:
    """A stop, a successor and a cancellation from outside are no bugs."""
    stopped = account_with(Ending(returns))
    stopped.stop()
    await stopped.run(disconnect_on_exit=False)
    await account_with(Ending(raises(Fenced("a successor")))).run(disconnect_on_exit=False)
    cancelled = asyncio.create_task(account_with(Ending(asyncio.Event().wait)).run(disconnect_on_exit=False))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_a_close_that_fails_is_no_time_out() -> None:
    """A TimeoutError from inside the close is an error; only the close's own deadline is passed over with a warning."""
    relay = Ending(returns)
    relay._close = raises(TimeoutError("from inside"))
    account = account_with(relay)
    account.stop()
    with pytest.raises(ExceptionGroup):
        await account.run(disconnect_on_exit=True)
