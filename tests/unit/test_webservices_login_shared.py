"""Callers that need a login at the same time share one attempt, and logins that end at once become rare."""

import asyncio
import contextlib
import time
from typing import Any

import pytest

from bridge.errors import (
    LoginNotKept,
    UpstreamError,
    UpstreamInvalidReply,
    UpstreamTimeout,
)
from bridge.webservices import Login, LoginState, Profile
from bridge.webservices.login.attempt import SharedAttempt
from tests.unit.login_parts import login_to, refused
from tests.unit.scripted_upstream import CSRF, NOT_AUTHENTICATED, OK, Scripted
from tests.waiting import eventually


async def challenge_of(login: Login, sent_at: float | None = None) -> bool:
    at = time.monotonic() if sent_at is None else sent_at
    return await login.challenged(refused(NOT_AUTHENTICATED), sent_at=at)


@pytest.mark.parametrize("failure", [Scripted(503, "<html>"), NOT_AUTHENTICATED, Scripted(500, '{"statusCode":4}')])
async def test_callers_share_a_failure(failure: Scripted) -> None:
    """Callers that wait for the same attempt get its failure together: six callers make one attempt, not six."""
    gate = asyncio.Event()
    held = Scripted(failure.status, failure.body, gate=gate)
    async with login_to(held) as (login, upstream):
        callers = [asyncio.create_task(login.headers()) for _ in range(6)]
        await eventually(lambda: upstream.seen)
        gate.set()
        results = await asyncio.gather(*callers, return_exceptions=True)
        assert len({type(one) for one in results}) == 1
        assert all(isinstance(one, UpstreamError) for one in results)
        assert len(upstream.seen) == 1


async def test_a_caller_that_leaves_takes_nothing_from_the_others() -> None:
    """The caller that began the attempt may be cancelled: the others still get its result, without another attempt."""
    gate = asyncio.Event()
    async with login_to(Scripted(gate=gate)) as (login, upstream):
        first, *others = (asyncio.create_task(login.headers()) for _ in range(4))
        await eventually(lambda: upstream.seen)
        first.cancel()
        await asyncio.wait([first])
        gate.set()
        assert await asyncio.gather(*others) == [{}] * 3
        assert first.cancelled()
        assert len(upstream.seen) == 1


async def test_no_attempt_outlives_its_callers() -> None:
    """When every caller has left no task of the login goes on, and the next caller begins a new attempt."""
    before = asyncio.all_tasks()

    def logging_in() -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks() - before if "bridge/webservices" in repr(task)]

    async with login_to(Scripted(gate=asyncio.Event()), OK) as (login, upstream):
        callers = [asyncio.create_task(login.headers()) for _ in range(3)]
        await eventually(lambda: upstream.seen)
        assert logging_in()
        for one in callers:
            one.cancel()
        await asyncio.wait(callers)
        assert not logging_in()
        assert await login.headers() == {}


async def test_waiting_has_a_deadline() -> None:
    """A caller that joins an attempt waits no longer than its own deadline."""
    async with login_to(Scripted(gate=asyncio.Event()), request_timeout=0.2) as (login, _):
        async with asyncio.timeout(30):
            results = await asyncio.gather(*(login.headers() for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in results] == [UpstreamTimeout] * 3


async def test_a_late_caller_keeps_its_own_deadline() -> None:
    """A caller that joins a long attempt leaves at its own deadline, and the attempt goes on for the others."""
    attempt, go = SharedAttempt[bool](), asyncio.Event()
    patient = asyncio.create_task(attempt.join(go.wait, within=30))
    await asyncio.sleep(0)
    hasty = asyncio.create_task(attempt.join(go.wait, within=0.05))
    await asyncio.wait({hasty}, timeout=5)
    go.set()
    [left] = await asyncio.gather(hasty, return_exceptions=True)
    assert type(left) is TimeoutError
    assert await patient


async def test_an_unexpected_error_reaches_every_caller() -> None:
    """An error that nobody foresaw is raised to each caller too, and the next attempt is free to work."""

    async def broken() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    attempt = SharedAttempt[None]()
    results = await asyncio.gather(*(attempt.join(broken, within=5) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in results] == [ZeroDivisionError] * 3
    await attempt.join(lambda: asyncio.sleep(0), within=5)


async def test_late_refusals_of_an_old_login_renew_nothing() -> None:
    """A request that was sent before the newest login asks for no other one, however late its refusal comes."""
    async with login_to(OK) as (login, upstream):
        await login.headers()
        sent_at = time.monotonic()
        assert await challenge_of(login)
        for _ in range(20):
            assert await login.challenged(refused(NOT_AUTHENTICATED), sent_at=sent_at)
        assert len(upstream.seen) == 2
        assert not login.not_kept


async def test_logins_that_end_at_once_become_rare() -> None:
    """A server that forgets each login gets a few logins; then callers hear `login-not-kept` without any request."""
    async with login_to(OK) as (login, upstream):
        await login.headers()
        refusals = 0
        async with asyncio.timeout(20):
            while refusals < 50:
                try:
                    await challenge_of(login)
                except LoginNotKept:
                    refusals += 1
        assert 4 <= len(upstream.seen) <= 8
        assert login.not_kept


async def test_not_kept_stays_until_a_login_lives() -> None:
    """`not_kept` does not flap with each login that works: it ends when one has lived for a minute."""
    now = 1000.0
    async with login_to(OK, clock=lambda: now) as (login, _):
        await login.headers()
        seen = []
        for _ in range(10):
            now += 40
            with contextlib.suppress(LoginNotKept):
                await challenge_of(login, now)
            seen.append(login.not_kept)
        assert seen == [False] * 4 + [True] * 6
        now += 59
        assert login.not_kept
        now += 2
        assert not login.not_kept


@pytest.mark.parametrize("lived", [61, 3600, 30_000])
async def test_a_login_that_lived_is_renewed_at_once(lived: int) -> None:
    """A login that ends after a minute or more is renewed without a wait, as often as that happens."""
    now = 1000.0
    async with login_to(OK, clock=lambda: now) as (login, upstream):
        await login.headers()
        for _ in range(20):
            now += lived
            assert await challenge_of(login, now)
        assert len(upstream.seen) == 21
        assert not login.not_kept


async def test_outages_do_not_slow_the_login_down() -> None:
    """Attempts that fail for want of a server are no short lives: the login is tried again at once."""
    async with login_to(*[Scripted(503, "<html>")] * 20, OK) as (login, _):
        for _ in range(20):
            with pytest.raises(UpstreamInvalidReply):
                await login.headers()
        assert await login.headers() == {}


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Host", "Cookie", "X Y"])
async def test_an_unusable_csrf_header_is_none(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A CSRF header that would change requests counts as none: the login holds, and the log says it once."""
    bad = Scripted(headers={"X-CSRF-HEADER": name, "X-CSRF-TOKEN": "7"})
    async with login_to(bad) as (login, _):
        assert await login.headers() == {}
        for _ in range(3):
            assert not await login.challenged(refused(CSRF), sent_at=time.monotonic())
    assert capsys.readouterr().out.count("csrf-header-unusable") == 1


async def test_an_unreadable_profile_is_a_login() -> None:
    """A profile that is no UTF-8 gives no features, and still a login."""
    async with login_to(Scripted(body=b'{"statusCode":0,"user":{"features":[{"id":"\xff"}]}}')) as (login, _):
        assert await login.profile() == Profile()
        assert login.state is LoginState.LOGGED_IN


@pytest.mark.parametrize(("later", "kept"), [(OK, True), (NOT_AUTHENTICATED, False)])
async def test_whether_a_login_is_kept(later: Scripted, *, kept: bool) -> None:
    """`is_kept` asks several times without the password, and tells whether all requests found the login."""
    async with login_to(OK, OK, later) as (login, upstream):
        assert await login.is_kept() is kept
        assert ["Authorization" in one.headers for one in upstream.seen] == [True] + [False] * 4
