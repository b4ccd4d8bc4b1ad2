"""What `GET /api/v2/me` and the operations' POST may answer: bodies, statuses, the CSRF header, cookies."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd import HttpSession
from bridge.errors import BridgeError
from bridge.webservices import Login, Profile, WebServicesClient
from tests.fuzz.budget import fuzzed
from tests.fuzz.raw_server import RawServer, answer
from tests.fuzz.strategies import bodies, field_values

ME: dict[str, Any] = {
    "statusCode": 0,
    "user": {
        "id": "u1",
        "features": [{"id": "api-voice-outbound", "displayName": "Outbound"}, {"id": "api-voice"}],
        "devices": [{"id": "d1", "deviceState": "Active"}],
    },
}
VERDICT = {"statusCode": 0, "statusMessage": "ok", "referenceId": "1"}
REFUSAL = {"statusCode": 20, "statusMessage": "Access denied"}
CSRF_NAMES = (
    *(b"X-CSRF-TOKEN", b"Content-Length", b"Transfer-Encoding", b"Host", b"Connection", b"Expect", b"Cookie"),
    *(b"Authorization", b"a b", b"", b"\xff", b"x" * 9000, "schl\u00fcssel".encode(), b":", b"Content-Type", b"TE"),
)
STATUSES = (b"200 OK", b"200 OK", b"403 Forbidden", b"401 Unauthorized", b"204 No Content", b"500 X", b"302 Found")
COOKIE_NAMES = (
    *(b"JSESSIONID", b"BAYEUX_BROWSER", b"ISAWPLB{A7F52349-3531}", b"version", b"expires", b"path", b"$Version"),
    *(b"a,b", b'"q"', b"a b", b"\xff\xfe", b"", b"__Host-x", b"a;b", b"[x]"),
)
cookies = st.builds(
    lambda name, value, end: name + b"=" + value + end,
    st.one_of(st.sampled_from(COOKIE_NAMES), field_values()),
    st.one_of(st.sampled_from([b"x", b'"a b"', b"\xff", b"a=b=c", b"x" * 4000, b"{}"]), field_values()),
    st.sampled_from(
        [b"", b"; Path=/", b"; Max-Age=9e999", b"; Expires=nonsense", b"; Domain=.", b"; Secure; Version=9"]
    ),
)


async def used(url: str) -> tuple[HttpSession, list[BridgeError]]:
    """Log in, ask who the account is, and send an operation; return the failures, each one of the documented kind."""
    http = HttpSession(url, request_timeout=5)
    failures: list[BridgeError] = []
    async with http:
        login = Login(http, account="a", username="u", password="p", request_timeout=5, retry_interval=60)
        client = WebServicesClient(http, login, account="a", request_timeout=5)
        for step in (login.profile, login.headers, lambda: client.forward("/api/v2/me/outbound-records/1", b"{}")):
            try:
                result = await step()
            except BridgeError as error:
                failures.append(error)
                str(error).encode()
            else:
                if isinstance(result, Profile):
                    "".join((*result.features, *result.devices)).encode()
    return http, failures


@fuzzed(150)
@given(
    bodies(ME, REFUSAL),
    bodies(VERDICT, REFUSAL),
    st.sampled_from(STATUSES),
    st.sampled_from(CSRF_NAMES),
    st.one_of(st.just(b"t1"), field_values()),
)
def test_no_answer_to_a_login_or_an_operation_ends_the_bridge(
    me: bytes, verdict: bytes, status: bytes, name: bytes, token: bytes
) -> None:
    """Login, profile and operation end with a result or an error of the bridge's own tree, whatever is answered."""
    headers = [(b"X-CSRF-HEADER", name), (b"X-CSRF-TOKEN", token)]

    def reply(head: bytes, _: bytes) -> bytes:
        body = verdict if head.startswith(b"POST") else me
        return answer(b"" if status.startswith(b"204") else body, status=status, headers=headers)

    async def main() -> None:
        async with RawServer(reply) as server:
            await used(server.url)

    asyncio.run(main())


@fuzzed(150)
@given(st.lists(cookies, min_size=1, max_size=4))
def test_cookies_that_are_kept_can_be_written_and_restored(offered: list[bytes]) -> None:
    """The cookies that a session keeps fit into the position's JSON, and the next process can take them over."""

    async def main() -> None:
        headers = [(b"Set-Cookie", one) for one in offered]
        async with RawServer(lambda _, __: answer(encoded_ok, headers=headers)) as server:
            async with HttpSession(server.url, request_timeout=5) as http:
                try:
                    await http.request("GET", "/", timeout=5)
                except BridgeError:
                    return
                kept = msgspec.json.decode(msgspec.json.encode(http.cookies()), type=dict[str, str])
            async with HttpSession(server.url, request_timeout=5) as heir:
                heir.restore_cookies(kept)
                await heir.request("GET", "/", timeout=5)

    asyncio.run(main())


async def test_the_cookies_that_are_kept_fit_into_a_position() -> None:
    """However many cookies a server sets, what is kept stays far under Kafka's limit of a record (1 MiB)."""
    answers = 0

    def reply(_: bytes, __: bytes) -> bytes:
        nonlocal answers
        answers += 1
        return answer(
            encoded_ok, headers=[(b"Set-Cookie", b"c%d-%d=" % (answers, one) + b"x" * 3000) for one in range(20)]
        )

    async with RawServer(reply) as server, HttpSession(server.url, request_timeout=5) as http:
        for _ in range(20):
            await http.request("GET", "/", timeout=5)
        assert len(msgspec.json.encode(http.cookies())) < 256 * 1024


encoded_ok = msgspec.json.encode(VERDICT)
