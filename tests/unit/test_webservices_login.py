"""The login: once for all, again when it ended, and never a locked account."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import REGISTRY

from bridge.cometd import HttpReply, HttpSession
from bridge.errors import (
    LoginNotKept,
    LoginRefused,
    UpstreamError,
    UpstreamInvalidReply,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from bridge.webservices import Login, LoginState, Profile
from bridge.webservices.login.attempt import SharedAttempt
from tests.unit.scripted_upstream import CSRF, NOT_AUTHENTICATED, OK, Scripted, ScriptedUpstream
from tests.waiting import eventually

PASSWORD = "pässword:with colon"
TOKEN = Scripted(headers={"X-CSRF-HEADER": "X-Site-Token", "X-CSRF-TOKEN": "t1"})
NEW_TOKEN = Scripted(headers={"X-CSRF-HEADER": "X-Site-Token", "X-CSRF-TOKEN": "t2"})


def refused(one: Scripted) -> HttpReply:
    return HttpReply(one.status, {}, str(one.body).encode())


def refused_metric() -> float | None:
    return REGISTRY.get_sample_value("bridge_login_refused", {"account": "sales"})


@contextlib.asynccontextmanager
async def login_to(
    *gets: Scripted, retry_interval: float = 60, request_timeout: float = 5, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[tuple[Login, ScriptedUpstream]]:
    async with ScriptedUpstream(gets=gets) as upstream, HttpSession(upstream.url, request_timeout=5) as http:
        login = Login(
            http,
            account="sales",
            username="agent",
            password=PASSWORD,
            request_timeout=request_timeout,
            retry_interval=retry_interval,
            clock=clock,
        )
        yield login, upstream


async def test_one_login_serves_all() -> None:
    """Callers that need a login at the same time share one."""
    gate = asyncio.Event()
    async with login_to(Scripted(gate=gate)) as (login, upstream):
        async with asyncio.TaskGroup() as callers:
            for _ in range(5):
                callers.create_task(login.headers())
            gate.set()
        await login.headers()
        assert upstream.methods == ["GET"]
        assert login.status.state is LoginState.LOGGED_IN


async def test_basic_credentials_are_utf8() -> None:
    """The login is GET /api/v2/me with Basic credentials in UTF-8, colons in the password included."""
    async with login_to(OK) as (login, upstream):
        await login.headers()
        [request] = upstream.seen
    assert request.path == "/api/v2/me?subresources=features,devices,channels"
    assert request.headers["Authorization"] == "Basic YWdlbnQ6cMOkc3N3b3JkOndpdGggY29sb24="


async def test_csrf_header_has_the_advertised_name() -> None:
    """The CSRF header is sent under the name that the server advertises, and not at all where it advertises none."""
    async with login_to(TOKEN) as (login, _):
        assert await login.headers() == {"X-Site-Token": "t1"}
    async with login_to(OK) as (login, _):
        assert await login.headers() == {}


@pytest.mark.parametrize(
    "no",
    [
        Scripted(401, "Unauthorized"),
        NOT_AUTHENTICATED,
        Scripted(403, '{"statusCode":3,"statusMessage":"Locked"}'),
        Scripted(200, '{"statusCode":8}'),
    ],
)
async def test_refused_password_is_not_repeated(no: Scripted) -> None:
    """After a refusal the server is left alone for the whole interval: accounts get locked."""
    async with login_to(no) as (login, upstream):
        for _ in range(3):
            with pytest.raises(LoginRefused):
                await login.headers()
        assert len(upstream.seen) == 1
        assert login.status.state is LoginState.REFUSED
        assert login.status.next_attempt is not None
        assert login.status.next_attempt - login.status.since == pytest.approx(60, abs=1)


async def test_refused_password_is_tried_again_later() -> None:
    """Once the interval is over the password gets its next attempt, and may be right now."""
    async with login_to(NOT_AUTHENTICATED, OK, retry_interval=0.05) as (login, upstream):
        with pytest.raises(LoginRefused):
            await login.headers()
        async with asyncio.timeout(5):
            while login.status.state is not LoginState.LOGGED_IN:
                with contextlib.suppress(LoginRefused):
                    await login.headers()
                await asyncio.sleep(0)
        assert len(upstream.seen) == 2
        assert login.status.next_attempt is None


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Scripted(503, "<html>busy</html>"), UpstreamInvalidReply),
        (Scripted(302, "", {"Location": "/login"}), UpstreamInvalidReply),
        (Scripted(500, '{"statusCode":4}'), UpstreamRejected),
    ],
)
async def test_outage_is_no_refusal(reply: Scripted, error: type[Exception]) -> None:
    """A login that failed for another reason than the password may be tried again at once."""
    async with login_to(reply, OK) as (login, _):
        with pytest.raises(error):
            await login.headers()
        states = [login.status.state]
        await login.headers()
        states.append(login.status.state)
        assert states == [LoginState.UNKNOWN, LoginState.LOGGED_IN]


async def test_no_connection_is_no_refusal() -> None:
    """A server that is down leaves the state unknown, and the failure tells that nothing was sent."""
    async with login_to(OK) as (_, upstream):
        url = upstream.url
    async with HttpSession(url, request_timeout=5) as http:
        login = Login(http, account="a", username="a", password="b", request_timeout=5, retry_interval=60)
        with pytest.raises(UpstreamUnreachable) as failed:
            await login.headers()
    assert not failed.value.sent
    assert login.status.state is LoginState.UNKNOWN


async def test_challenges_share_one_new_login() -> None:
    """Requests that meet the same ended login cause one new login together."""
    gate = asyncio.Event()
    async with login_to(OK, Scripted(gate=gate)) as (login, upstream):
        await login.headers()
        async with asyncio.TaskGroup() as callers:
            again = [
                callers.create_task(login.challenged(refused(NOT_AUTHENTICATED), sent_at=time.monotonic()))
                for _ in range(4)
            ]
            gate.set()
        assert [one.result() for one in again] == [True] * 4
        assert len(upstream.seen) == 2


async def test_new_token_needs_no_password() -> None:
    """A CSRF refusal fetches a new token by GET, without the credentials."""
    async with login_to(TOKEN, NEW_TOKEN) as (login, upstream):
        await login.headers()
        assert await login.challenged(refused(CSRF), sent_at=time.monotonic())
        assert await login.headers() == {"X-Site-Token": "t2"}
        assert "Authorization" not in upstream.seen[1].headers


async def test_token_of_an_ended_login_means_a_new_login() -> None:
    """When the GET for a token finds the login ended, the account logs in again."""
    async with login_to(TOKEN, NOT_AUTHENTICATED, NEW_TOKEN) as (login, upstream):
        await login.headers()
        assert await login.challenged(refused(CSRF), sent_at=time.monotonic())
        assert await login.headers() == {"X-Site-Token": "t2"}
        assert ["Authorization" in one.headers for one in upstream.seen] == [True, False, True]


@pytest.mark.parametrize("code", [3, 5])
async def test_forbidden_is_final(code: int) -> None:
    """HTTP 403 with statusCode 3 or 5 renews nothing and asks nobody."""
    async with login_to(OK) as (login, upstream):
        await login.headers()
        assert not await login.challenged(HttpReply(403, {}, b'{"statusCode":%d}' % code), sent_at=time.monotonic())
        assert len(upstream.seen) == 1


async def test_changed_password_ends_in_a_refusal() -> None:
    """A login that ended and whose password no longer holds is refused, and stays visible as refused."""
    async with login_to(OK, NOT_AUTHENTICATED) as (login, upstream):
        await login.headers()
        for _ in range(2):
            with pytest.raises(LoginRefused):
                await login.challenged(refused(NOT_AUTHENTICATED), sent_at=time.monotonic())
        assert login.status.state is LoginState.REFUSED
        assert len(upstream.seen) == 2


async def test_refusal_is_a_metric_until_a_login() -> None:
    """`bridge_login_refused` is 1 from the refusal of a password until a login that works."""
    async with login_to(OK, NOT_AUTHENTICATED, OK, retry_interval=0.05) as (login, _):
        await login.headers()
        seen = [refused_metric()]
        with pytest.raises(LoginRefused):
            await login.challenged(refused(NOT_AUTHENTICATED), sent_at=time.monotonic())
        seen.append(refused_metric())
        async with asyncio.timeout(5):
            while login.status.state is not LoginState.LOGGED_IN:
                with contextlib.suppress(LoginRefused):
                    await login.headers()
                await asyncio.sleep(0)
        seen.append(refused_metric())
    assert seen == [0, 1, 0]


async def test_errors_hold_no_secret() -> None:
    """Neither an error's text nor a repr shows the password or the name."""
    async with login_to(NOT_AUTHENTICATED) as (login, _):
        with pytest.raises(LoginRefused) as failed:
            await login.headers()
        for text in (str(failed.value), repr(failed.value), repr(login), repr(login.status)):
            assert "pässword" not in text
            assert "agent" not in text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            '{"statusCode":0,"user":{"features":[{"id":"api-voice-outbound","x":1}],"devices":[{"id":"d1"},{"id":"d2"}]}}',
            Profile(("api-voice-outbound",), ("d1", "d2")),
        ),
        ('{"statusCode":0,"user":{"features":null}}', Profile()),
        ('{"statusCode":0,"user":{"features":["api-voice-outbound"]}}', Profile()),
        ('{"statusCode":0}', Profile()),
    ],
)
async def test_profile_comes_with_the_login(body: str, expected: Profile) -> None:
    """Features and devices are those of the login's reply; a shape that is not known gives none, and still a login."""
    async with login_to(Scripted(body=body)) as (login, upstream):
        assert await login.profile() == expected
        assert len(upstream.seen) == 1
        assert expected.may_do_outbound is bool(expected.features)


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
    async with login_to(Scripted(gate=asyncio.Event()), OK) as (login, upstream):
        callers = [asyncio.create_task(login.headers()) for _ in range(3)]
        await eventually(lambda: upstream.seen)
        for one in callers:
            one.cancel()
        await asyncio.wait(callers)
        assert "join" not in str([task.get_coro() for task in asyncio.all_tasks() - before])
        assert "_log_in" not in str([task.get_coro() for task in asyncio.all_tasks() - before])
        assert await login.headers() == {}


async def test_waiting_has_a_deadline() -> None:
    """A caller that joins an attempt waits no longer than its own deadline."""
    async with login_to(Scripted(gate=asyncio.Event()), request_timeout=0.2) as (login, _):
        async with asyncio.timeout(5):
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
        assert login.status.state is LoginState.LOGGED_IN


@pytest.mark.parametrize(("later", "kept"), [(OK, True), (NOT_AUTHENTICATED, False)])
async def test_whether_a_login_is_kept(later: Scripted, *, kept: bool) -> None:
    """`is_kept` asks several times without the password, and tells whether all requests found the login."""
    async with login_to(OK, OK, later) as (login, upstream):
        assert await login.is_kept() is kept
        assert ["Authorization" in one.headers for one in upstream.seen] == [True] + [False] * 4
