"""The REST side: problems, health, sessions, metrics, and the bounds of a body."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from bridge.errors import (
    BridgeError,
    Busy,
    Conflict,
    DeliveryError,
    KafkaUnavailable,
    LoginRefused,
    UnknownAccount,
    UnknownOperation,
    UpstreamError,
    UpstreamInvalidReply,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from bridge.http import Missing, SessionView, create_app
from bridge.http.reading import body as bounds
from bridge.operations import LARGEST_REQUEST
from bridge.webservices.statuscodes import STATUS_CODES
from tests.unit.api import BODY, RECORDS
from tests.unit.operations_in_memory import InMemoryOperations
from tests.unit.served import served

TEMPLATE = f"{RECORDS}/{{recordHandle}}"


@dataclass
class Api:
    """The application on loopback, and what is behind it."""

    url: str
    client: aiohttp.ClientSession
    operations: InMemoryOperations
    missing: list[Missing]
    sessions: list[SessionView]

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any, aiohttp.ClientResponse]:
        async with self.client.request(method, f"{self.url}{path}", **options) as reply:
            body = await reply.read()
            return reply.status, json.loads(body) if "json" in reply.content_type else body, reply

    async def post(self, body: object, path: str = f"{RECORDS}/13", **options: Any) -> tuple[int, Any]:
        status, answer, _ = await self.call("POST", path, json=body, **options)
        return status, answer


@pytest_asyncio.fixture(scope="module")
async def shared() -> AsyncIterator[Api]:
    operations = InMemoryOperations()
    missing: list[Missing] = []
    sessions: list[SessionView] = []
    app = create_app(operations, readiness=lambda: missing, session_views=lambda: sessions)
    async with served(app) as url, aiohttp.ClientSession() as client:
        yield Api(url, client, operations, missing, sessions)


@pytest.fixture
def api(shared: Api) -> Api:
    """One server for all tests here, with nothing left of the one before."""
    for kept in (shared.operations, shared.missing, shared.sessions):
        kept.clear()
    return shared


async def test_request_reaches_the_forwarder_as_sent(api: Api) -> None:
    """Account, handle and body go on exactly as the caller gave them."""
    sent = BODY | {"phoneNumber": "3001", "nothing": None, "custom": [1, 2.5, {"ü": "ß"}]}
    status, answer = await api.post(sent, headers={"X-Account": "sales"})
    assert (status, answer) == (200, {"statusCode": 0, "referenceId": "r1"})
    [(one, asynchronous)] = api.operations.submissions
    assert (one.account, one.record_handle, one.request.body(), asynchronous) == ("sales", 13, sent, False)
    assert (one.requested_by, one.traceparent) == (None, None)


async def test_by_number_has_no_handle(api: Api) -> None:
    """The path without a handle takes the form by phone number, for the default account."""
    body = {name: value for name, value in BODY.items() if name != "callingList"} | {"phoneNumber": "3001"}
    assert (await api.post(body, RECORDS))[0] == 200
    [(one, _)] = api.operations.submissions
    assert (one.account, one.record_handle, one.request.body()) == (None, None, body)


async def test_missing_reference_is_made(api: Api) -> None:
    """A request without a referenceId gets one of its own, which the reply tells."""
    sent = {name: value for name, value in BODY.items() if name != "referenceId"}
    references = {(await api.post(sent))[1]["referenceId"] for _ in range(2)}
    assert references == {one.request.reference_id for one, _ in api.operations.submissions}
    assert len(references) == 2


async def test_body_says_that_it_is_json(api: Api) -> None:
    """A body is application/json or `+json`, with parameters or without; any other type, or none, is a 415."""
    for media_type, expected in (
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/X+JSON", 200),
        ("text/plain", 415),
        ("text/plain; a=application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/x+json", 415),
        ("", 415),
    ):
        options = {"data": json.dumps(BODY).encode(), "headers": {"Content-Type": media_type}}
        assert (await api.call("POST", f"{RECORDS}/13", **options))[0] == expected
    options = {"data": json.dumps(BODY).encode(), "skip_auto_headers": ["Content-Type"]}
    assert (await api.call("POST", f"{RECORDS}/13", **options))[0] == 415


@pytest.mark.parametrize(
    ("changes", "status_code", "names"),
    [
        ({"devicePath": ...}, 1, ["devicePath"]),
        ({"applicationId": "5550123"}, 10, ["applicationId"]),
        ({"devicePath": ..., "chainAttribute": "5550123"}, 1, ["devicePath", "chainAttribute"]),
    ],
)
async def test_invalid_request_names_its_faults(
    api: Api, changes: dict[str, Any], status_code: int, names: list[str]
) -> None:
    """A request that fails validation is not forwarded; the problem names each fault, and repeats no value."""
    body = {name: value for name, value in (BODY | changes).items() if value is not ...}
    status, answer = await api.post(body)
    assert (status, answer["code"], answer["statusCode"]) == (422, "invalid-request", status_code)
    assert answer["referenceId"] == "r1"
    assert [fault["name"] for fault in answer["errors"]] == names
    assert {fault["location"] for fault in answer["errors"]} == {"body"}
    assert "5550123" not in json.dumps(answer)
    assert not api.operations.submissions


@pytest.mark.parametrize("handle", ["x", "-1", "+1", "1.0", "1_0", "%20" + "1", "1" * 20, str(2**53), "१३"])
async def test_handle_is_a_whole_number(api: Api, handle: str) -> None:
    """A handle that is not a whole number in plain digits, or too large for JSON, is refused under its name."""
    status, answer = await api.post(BODY, f"{RECORDS}/{handle}")
    assert (status, answer["statusCode"]) == (422, 10)
    assert [(fault["location"], fault["name"]) for fault in answer["errors"]] == [("path", "recordHandle")]
    assert not api.operations.submissions


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"1"])
async def test_body_must_be_an_object(api: Api, body: bytes) -> None:
    """Anything but a JSON object is refused as an invalid request."""
    status, answer, _ = await api.call("POST", f"{RECORDS}/13", data=body, headers={"Content-Type": "application/json"})
    assert (status, answer["code"]) == (422, "invalid-request")


@pytest.mark.parametrize("body", [b"{", b'{"a":NaN}', b'{"a":1,"a":2}', b'"\xff"', b"[" * 9999, b'"\\ud800"'])
async def test_malformed_json_is_a_problem(api: Api, body: bytes) -> None:
    """What is not strict JSON is a 400, never a failure of the bridge."""
    status, answer, _ = await api.call("POST", f"{RECORDS}/13", data=body, headers={"Content-Type": "application/json"})
    assert (status, answer["code"], answer["statusCode"]) == (400, "malformed-json", 10)


@pytest.mark.parametrize("chunked", [False, True])
async def test_body_is_bounded_while_it_is_read(api: Api, chunked: bool) -> None:  # noqa: FBT001
    """A body past the limit is a 413, with a length told before or in chunks; one at the limit is read."""

    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    whole = json.dumps(BODY).encode()
    for excess, expected in ((0, 200), (1, 413)):
        body = whole.ljust(LARGEST_REQUEST + excess)
        data = chunks(body) if chunked else body
        headers = {"Content-Type": "application/json"}
        assert (await api.call("POST", f"{RECORDS}/13", data=data, headers=headers))[0] == expected


async def test_slow_body_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come in time is a 408."""
    monkeypatch.setattr(bounds, "BODY_DEADLINE", 0.05)
    head = f"POST {RECORDS}/13 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    writer.write(head.encode())
    async with asyncio.timeout(30):
        assert b" 408 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("failure", "status", "retry"),
    [
        (UpstreamUnreachable("x", sent=False), 503, True),
        (UpstreamTimeout("x"), 504, False),
        (UpstreamInvalidReply("x", http_status=503), 502, False),
        (LoginRefused("x"), 503, True),
        (UpstreamError("x"), 502, False),
        (DeliveryError("x"), 503, True),
        (UnknownAccount("x"), 404, False),
        (UnknownOperation("x"), 404, False),
        (Conflict("x"), 422, False),
        (Busy("x", retry_after=3), 429, True),
        (KafkaUnavailable("x"), 503, True),
        (BridgeError("secret"), 500, False),
    ],
)
async def test_each_error_is_a_problem(api: Api, failure: BridgeError, status: int, *, retry: bool) -> None:
    """Each error of the tree becomes a problem with its code, its HTTP status and the operation's referenceId."""
    api.operations.failure = failure
    answered, answer, reply = await api.call("POST", f"{RECORDS}/13", json=BODY)
    assert (answered, reply.content_type) == (status, "application/problem+json")
    assert (answer["status"], answer["code"], answer["referenceId"]) == (status, failure.code, "r1")
    assert ("Retry-After" in reply.headers) is retry
    assert "secret" not in json.dumps(answer)


@pytest.mark.parametrize("code", [code for code in STATUS_CODES if code] + [77])
async def test_upstream_no_keeps_its_meaning(api: Api, code: int) -> None:
    """Upstream's refusal keeps its statusCode and its words, under the HTTP status of its meaning."""
    api.operations.failure = UpstreamRejected("no", http_status=500, status_code=code, status_message="Device 1")
    status, answer = await api.post(BODY)
    assert status == (STATUS_CODES[code].http_status if code in STATUS_CODES else 409)
    assert (answer["statusCode"], answer["statusMessage"], answer["referenceId"]) == (code, "Device 1", "r1")


async def test_failure_tells_nothing_of_the_inside(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of the bridge itself is a 500 without its text."""
    api.operations.failure = ZeroDivisionError("inside")
    with caplog.at_level("CRITICAL", "uvicorn.error"):
        status, answer = await api.post(BODY)
    assert (status, answer["code"]) == (500, "internal")
    assert "inside" not in json.dumps(answer)


async def test_unknown_paths_and_methods_are_problems(api: Api) -> None:
    """An unknown path is a 404 and a wrong method a 405 that names the right ones."""
    for path in ("/nope", f"{RECORDS}/", f"{RECORDS}/13/", f"{RECORDS}/1/2"):
        status, answer, _ = await api.call("GET", path)
        assert (status, answer["code"]) == (404, "not-found")
    status, answer, reply = await api.call("DELETE", f"{RECORDS}/13")
    assert (status, answer["code"], reply.headers["Allow"]) == (405, "method-not-allowed", "POST")


async def test_readiness_names_what_is_missing(api: Api) -> None:
    """Ready is 200 only with nothing missing; else 503 names each thing, its account and the reason."""
    assert (await api.call("GET", "/health/ready"))[:2] == (200, {"status": "ready"})
    api.missing.append(Missing(name="cometd", reason="no subscription yet", account="sales"))
    status, answer, reply = await api.call("GET", "/health/ready")
    assert (status, reply.content_type) == (503, "application/problem+json")
    assert answer["missing"] == [{"name": "cometd", "reason": "no subscription yet", "account": "sales"}]
    assert (await api.call("GET", "/health/live"))[:2] == (200, {"status": "live"})


async def test_sessions_are_told_in_camel_case(api: Api) -> None:
    """GET /sessions tells each session under upstream's way of naming."""
    api.sessions.append(
        SessionView(account="sales", session="0123456789abcdef", state="connected", ack_extension=True, guarantee=None)
    )
    [session] = (await api.call("GET", "/sessions"))[1]
    assert (session["account"], session["session"], session["ackExtension"]) == ("sales", "0123456789abcdef", True)
    assert {"state", "reason", "guarantee", "lastReplyAt", "subscriptionsRefused", "heldEvents", "heldSince"} < set(
        session
    )


def observed(route: str, method: str, status: int) -> float:
    labels = {"route": route, "method": method, "status": str(status)}
    return REGISTRY.get_sample_value("bridge_http_request_seconds_count", labels) or 0


async def test_requests_are_measured_by_route(api: Api) -> None:
    """A request counts under its route's template; unknown paths and methods share one label."""
    series = [(TEMPLATE, "POST", 200), (TEMPLATE, "POST", 422), ("other", "GET", 404), ("other", "other", 404)]
    before = [observed(*one) for one in series]
    await api.post(BODY)
    await api.post({})
    await api.call("GET", "/nope/1")
    await api.call("BREW", "/coffee")
    async with asyncio.timeout(30):
        while [observed(*one) - was for one, was in zip(series, before, strict=True)] != [1] * 4:  # noqa: ASYNC110 -- a counter wakes nobody
            await asyncio.sleep(0)
    page = (await api.call("GET", "/metrics"))[1].decode()
    assert f'bridge_http_request_seconds_count{{method="POST",route="{TEMPLATE}",status="200"}}' in page
    assert "nope" not in page
    assert "BREW" not in page
