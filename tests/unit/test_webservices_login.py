"""The login: once for all, again when it ended, and never a locked account."""

import asyncio
import contextlib
import time

import pytest

from bridge.cometd import HttpReply, HttpSession
from bridge.errors import (
    LoginRefused,
    UpstreamInvalidReply,
    UpstreamRejected,
    UpstreamUnreachable,
)
from bridge.webservices import Login, LoginState, Profile
from tests.unit.login_parts import TOKEN, login_to, refused, refused_metric
from tests.unit.scripted_upstream import CSRF, NOT_AUTHENTICATED, OK, Scripted
from tests.waiting import eventually

NEW_TOKEN = Scripted(headers={"X-CSRF-HEADER": "X-Site-Token", "X-CSRF-TOKEN": "t2"})


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
        assert login.state is LoginState.LOGGED_IN


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
    now = 1000.0
    async with login_to(no, no, clock=lambda: now) as (login, upstream):
        for now in (1000.0, 1001.0, 1059.0):  # noqa: B007 -- the clock reads it
            with pytest.raises(LoginRefused):
                await login.headers()
            assert len(upstream.seen) == 1
            assert login.state is LoginState.REFUSED
        now = 1061.0
        with pytest.raises(LoginRefused):
            await login.headers()
        assert len(upstream.seen) == 2


async def test_refused_password_is_tried_again_later() -> None:
    """Once the interval is over the password gets its next attempt, and may be right now."""
    async with login_to(NOT_AUTHENTICATED, OK, retry_interval=0.05) as (login, upstream):
        with pytest.raises(LoginRefused):
            await login.headers()
        async with asyncio.timeout(30):
            while login.state is not LoginState.LOGGED_IN:
                with contextlib.suppress(LoginRefused):
                    await login.headers()
                await asyncio.sleep(0)
        assert len(upstream.seen) == 2


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
        states = [login.state]
        await login.headers()
        states.append(login.state)
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
    assert login.state is LoginState.UNKNOWN


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
        assert login.state is LoginState.REFUSED
        assert len(upstream.seen) == 2


async def test_refusal_is_a_metric_until_a_login() -> None:
    """`bridge_login_refused` is 1 from the refusal of a password until a login that works."""
    async with login_to(OK, NOT_AUTHENTICATED, OK, retry_interval=0.05) as (login, _):
        await login.headers()
        seen = [refused_metric()]
        with pytest.raises(LoginRefused):
            await login.challenged(refused(NOT_AUTHENTICATED), sent_at=time.monotonic())
        seen.append(refused_metric())
        async with asyncio.timeout(30):
            while login.state is not LoginState.LOGGED_IN:
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
        for text in (str(failed.value), repr(failed.value), repr(login), repr(login.state)):
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


async def test_a_changed_password_logs_in_anew() -> None:
    """After a change the next caller logs in with the new password, and the cookies stay."""
    async with login_to(OK, OK) as (login, upstream):
        await login.headers()
        login.change_password("agent", "another")
        assert login.state is LoginState.UNKNOWN
        await login.headers()
        first, second = (one.headers["Authorization"] for one in upstream.seen)
        assert (first, second) != (first, first)
        assert second == "Basic YWdlbnQ6YW5vdGhlcg=="


async def test_a_changed_password_ends_the_wait_after_a_refusal() -> None:
    """A refused password is tried again after a minute, but another password at once."""
    async with login_to(NOT_AUTHENTICATED, OK) as (login, upstream):
        with pytest.raises(LoginRefused):
            await login.headers()
        login.change_password("agent", "another")
        await login.headers()
        assert login.state is LoginState.LOGGED_IN
        assert len(upstream.seen) == 2


async def test_the_answer_to_the_former_password_does_not_count() -> None:
    """If the password changes while a login is under way, its refusal says nothing, and the new one is tried."""
    gate = asyncio.Event()
    refusal = Scripted(NOT_AUTHENTICATED.status, NOT_AUTHENTICATED.body, gate=gate)
    async with login_to(refusal, OK) as (login, upstream):
        waiting = asyncio.ensure_future(login.headers())
        await eventually(lambda: upstream.seen)
        login.change_password("agent", "another")
        gate.set()
        await waiting
        assert login.state is LoginState.LOGGED_IN
        assert len(upstream.seen) == 2
