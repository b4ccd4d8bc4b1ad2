"""REST operations: what is sent again, what is not, and how each end is named."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest

from bridge.cometd.http.session import HttpSession
from bridge.errors import LoginNotKept, UpstreamInvalidReply, UpstreamRejected, UpstreamTimeout, UpstreamUnreachable
from bridge.operations import Limits
from bridge.operations.forwarding.account_forwarder import AccountForwarder
from bridge.webservices import Login, UpstreamReply, WebServicesClient
from tests.unit.scripted_upstream import CSRF, NOT_AUTHENTICATED, OK, Scripted, ScriptedUpstream
from tests.waiting import eventually

PATH = "/api/v2/me/outbound-records/13"
TOKEN = Scripted(headers={"X-CSRF-HEADER": "X-CSRF-TOKEN", "X-CSRF-TOKEN": "t1"})


@contextlib.asynccontextmanager
async def client_to(
    *posts: Scripted, request_timeout: float = 5
) -> AsyncIterator[tuple[WebServicesClient, ScriptedUpstream]]:
    async with (
        ScriptedUpstream(gets=[TOKEN], posts=posts) as upstream,
        HttpSession(upstream.url, request_timeout=request_timeout) as http,
    ):
        login = Login(
            http,
            account="a",
            username="agent",
            password="secret",
            request_timeout=request_timeout,
            retry_interval=60,
        )
        yield WebServicesClient(http, login, account="a", request_timeout=request_timeout), upstream


async def test_operation_is_posted_as_json() -> None:
    """An operation goes out as JSON with the CSRF header, after one login, with no other header of the login."""
    body = '{"a":1,"b":{"ü":null}}'.encode()
    async with client_to(OK) as (client, upstream):
        assert await client.forward(PATH, body) == UpstreamReply(200, 0)
        _, post = upstream.seen
    assert (post.method, post.path) == ("POST", PATH)
    assert post.body == body.decode()
    assert post.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert post.headers["X-CSRF-TOKEN"] == "t1"
    assert "Authorization" not in post.headers


@pytest.mark.parametrize(
    ("refusals", "methods"),
    [
        ([NOT_AUTHENTICATED], "GET POST GET POST"),
        ([CSRF], "GET POST GET POST"),
        ([NOT_AUTHENTICATED, CSRF], "GET POST GET POST GET POST"),
    ],
)
async def test_login_and_token_are_renewed(refusals: list[Scripted], methods: str) -> None:
    """A request refused for want of a login or a token is sent again once each is renewed."""
    async with client_to(*refusals, OK) as (client, upstream):
        assert (await client.forward(PATH, b"{}")).status_code == 0
        assert upstream.methods == methods.split()


async def test_login_is_renewed_twice() -> None:
    """A statusCode 20 after a second new login says that logins are not kept; it is no verdict, and starts no loop."""
    async with client_to(NOT_AUTHENTICATED) as (client, upstream):
        with pytest.raises(LoginNotKept):
            await client.forward(PATH, b"{}")
        assert upstream.methods == ["GET", "POST"] * 3


@pytest.mark.parametrize("refusal", [NOT_AUTHENTICATED, CSRF])
async def test_an_asynchronous_operation_outlives_forgotten_logins(refusal: Scripted) -> None:
    """An operation that nobody waits for is sent again after logins or tokens that were forgotten: nothing was done."""
    async with client_to(*[refusal] * 4, OK) as (client, _):
        forwarder = AccountForwarder(client, "a", Limits())
        verdict = await forwarder.forward("AddRecord", None, b"{}", persistent=True)
    assert (verdict.reply, verdict.error) == (UpstreamReply(200, 0), None)


async def test_a_voice_session_is_not_refused_by_a_forgotten_login() -> None:
    """StartContactCenterSession names forgotten logins as operations do."""
    async with client_to(NOT_AUTHENTICATED) as (client, _):
        with pytest.raises(LoginNotKept):
            await client.start_voice_session()


async def test_a_second_new_login_may_help() -> None:
    """A first new login that is forgotten at once does not reach the caller: the next one is tried before."""
    async with client_to(NOT_AUTHENTICATED, NOT_AUTHENTICATED, OK) as (client, _):
        assert (await client.forward(PATH, b"{}")).status_code == 0


async def test_token_is_renewed_once() -> None:
    """A CSRF refusal right after a new token says that tokens are not kept; it is no verdict, and starts no loop."""
    async with client_to(CSRF) as (client, upstream):
        with pytest.raises(LoginNotKept, match="CSRF"):
            await client.forward(PATH, b"{}")
        assert upstream.methods.count("POST") == 2


async def test_a_token_that_is_not_told_is_not_kept() -> None:
    """A CSRF refusal where Web Services tells no token is no verdict either."""
    async with (
        ScriptedUpstream(gets=[OK], posts=[CSRF]) as upstream,
        HttpSession(upstream.url, request_timeout=5) as http,
    ):
        login = Login(http, account="a", username="agent", password="secret", request_timeout=5, retry_interval=60)
        with pytest.raises(LoginNotKept, match="CSRF"):
            await WebServicesClient(http, login, account="a", request_timeout=5).forward(PATH, b"{}")


@pytest.mark.parametrize(("status", "code"), [(500, 4), (403, 3), (403, 5), (200, 7), (400, 1), (418, 77)])
async def test_refusal_is_final(status: int, code: int) -> None:
    """Any other statusCode is the verdict, and nothing is sent twice; its text stays out of the error's."""
    async with client_to(Scripted(status, f'{{"statusCode":{code},"statusMessage":"phone 5550123"}}')) as (
        client,
        upstream,
    ):
        with pytest.raises(UpstreamRejected) as failed:
            await client.forward(PATH, b"{}")
        assert upstream.methods.count("POST") == 1
    assert (failed.value.http_status, failed.value.status_code) == (status, code)
    assert failed.value.status_message == "phone 5550123"
    assert "5550123" not in str(failed.value)


async def test_slow_upstream_is_a_timeout() -> None:
    """No answer in time is a timeout, and the request is not repeated."""
    async with client_to(Scripted(gate=asyncio.Event()), request_timeout=1) as (client, upstream):
        with pytest.raises(UpstreamTimeout):
            await client.forward(PATH, b"{}")
        assert upstream.methods.count("POST") == 1


async def test_requests_leave_room_for_the_poll() -> None:
    """No more requests run at a time than `concurrency` says."""
    gate = asyncio.Event()
    async with client_to(Scripted(gate=gate), request_timeout=30) as (client, upstream):
        forwarder = AccountForwarder(client, "a", Limits(concurrency=32, forward_deadline=30))
        forwarding = [asyncio.create_task(forwarder.forward("AddRecord", 13, b"{}")) for _ in range(33)]
        await eventually(lambda: upstream.methods.count("POST") == 32)
        async with aiohttp.ClientSession() as another, another.get(upstream.url):
            pass  # a POST that was sent before this GET would be there by now
        assert upstream.methods.count("POST") == 32
        gate.set()
        await asyncio.wait(forwarding)
        assert upstream.methods.count("POST") == 33


async def test_request_without_room_is_not_sent() -> None:
    """A request that finds no room within the deadline is told that it was not sent."""
    async with client_to(Scripted(gate=asyncio.Event()), request_timeout=30) as (client, upstream):
        forwarder = AccountForwarder(client, "a", Limits(concurrency=1, forward_deadline=3))
        verdicts = await asyncio.gather(*(forwarder.forward("AddRecord", 13, b"{}") for _ in range(2)))
        assert upstream.methods.count("POST") == 1
    refused = [one.error for one in verdicts if isinstance(one.error, UpstreamUnreachable)]
    assert [one.sent for one in refused] == [False]


@pytest.mark.parametrize("code", [0, 7])
async def test_voice_session_may_open_in_part(code: int) -> None:
    """StartContactCenterSession counts as opened with statusCode 7 too."""
    async with client_to(Scripted(body=f'{{"statusCode":{code}}}')) as (client, upstream):
        assert (await client.start_voice_session()).status_code == code
        post = upstream.seen[-1]
    assert post.path == "/api/v2/me"
    assert msgspec.json.decode(post.body) == {"operationName": "StartContactCenterSession", "channels": ["voice"]}


async def test_voice_session_can_be_refused() -> None:
    """Any other statusCode of StartContactCenterSession is a refusal."""
    async with client_to(Scripted(500, '{"statusCode":4}')) as (client, _):
        with pytest.raises(UpstreamRejected):
            await client.start_voice_session()


async def test_a_reply_without_end_is_an_invalid_one() -> None:
    """A reply longer than 1 MiB is an unusable reply like others, and the request may have been acted upon."""
    async with client_to(Scripted(body='{"statusCode":0}' + " " * (1 << 20))) as (client, _):
        with pytest.raises(UpstreamInvalidReply, match="a reply of more than 1048576 bytes"):
            await client.forward(PATH, b"{}")


async def test_a_profile_without_end_is_an_invalid_one() -> None:
    """A reply to the login is bounded like one to an operation: many requests at once can't fill the memory."""
    async with (
        ScriptedUpstream(gets=[Scripted(body='{"statusCode":0}' + " " * (1 << 20))], posts=[OK]) as upstream,
        HttpSession(upstream.url, request_timeout=5) as http,
    ):
        login = Login(http, account="a", username="agent", password="secret", request_timeout=5, retry_interval=60)
        with pytest.raises(UpstreamInvalidReply, match="a reply of more than 1048576 bytes"):
            await login.profile()
