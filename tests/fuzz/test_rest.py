"""Requests of callers: their bodies and headers, as bytes, before the whole application."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.http import create_app
from bridge.http.reading import prefer
from bridge.operations import OUTBOUND_OPERATIONS
from tests.fuzz import published
from tests.fuzz.asgi import call
from tests.fuzz.budget import fuzzed
from tests.fuzz.strategies import bodies, field_values, sweep
from tests.memory_kafka import MemoryKafka
from tests.page import REQUEST
from tests.unit.operation_parts import ScriptedUpstream, running
from tests.unit.operations_in_memory import InMemoryOperations

if TYPE_CHECKING:
    import pytest

    from tests.fuzz.asgi import Answer

RECORDS = "/api/v2/me/outbound-records"
JSON = (b"content-type", b"application/json")
ENABLED = [name for name, operation in OUTBOUND_OPERATIONS.items() if operation.forwarded]
FULL: dict[str, Any] = {
    **REQUEST,
    "operationName": "AddRecord",
    "phoneType": "Mobile",
    "timeZone": "GMT",
    "from": 0,
    "until": 86339,
    "chainId": 7,
    "otherFields": {"tier": "gold"},
}
NAMES = (
    *(b"content-type", b"prefer", b"idempotency-key", b"x-account", b"traceparent", b"authorization"),
    *(b"origin", b"host", b"content-length", b"accept", b"cookie", b"expect"),
)
VALUES = (
    *(b"application/json", b"text/plain", b"wait=5", b"wait=99999999999999999999", b"respond-async, wait=1"),
    *(b"wait=-1; x", b'"quoted key"', b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01", b"Bearer x", b"null"),
    *(b"http://evil.example", b"127.0.0.1:8080", b"[::1", b"a.example:99999999", b"agent", b"wait=\xb2"),
)
fields = st.lists(st.tuples(st.sampled_from(NAMES), st.one_of(st.sampled_from(VALUES), field_values())), max_size=3)
paths = st.sampled_from(
    [
        *(RECORDS, f"{RECORDS}/13", f"{RECORDS}/99999999999999999999", f"{RECORDS}/%c2%b2", f"{RECORDS}/1%00"),
        *("/operations?status=requested&limit=2", "/operations?limit=1e9", "/operations?after=%ff&x", "/sessions"),
        *("/operations/%ed%a0%80", "/operations/..%2f..", "/operations/123456789", "/health/ready", "/openapi.json"),
        *("/console", "/metrics?x=%00", "//", "/asyncapi.json", "/docs"),
    ]
)


operations = InMemoryOperations()


@cache
def application() -> Any:
    """The whole application with `operations`. Making it takes longer than answering a request."""
    return create_app(operations, readiness=list, session_views=list, enabled=ENABLED)


def correct(answered: Answer) -> None:
    """Fail unless the answer is one that the bridge means: no fault of its own, and JSON where it says so."""
    assert answered.status < 500 or answered.status in {503, 504}, answered.body
    if b"json" in answered.headers.get(b"content-type", b""):
        json.loads(answered.body.decode())


@fuzzed(250)
@given(bodies(REQUEST, FULL), fields, paths, st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "OPTIONS"]))
def test_no_request_makes_the_rest_side_fail(
    body: bytes, headers: list[tuple[bytes, bytes]], path: str, method: str
) -> None:
    """Whatever stands in a request, the answer is no 500, and valid JSON where it says that it is JSON."""
    operations.clear()
    correct(asyncio.run(call(application(), method, path, body, [JSON, *headers])))


def test_each_odd_value_in_a_request_is_refused_or_published_as_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each member of a request may hold each odd value: what is taken can be forwarded, published and shown again."""
    monkeypatch.setattr(prefer, "LONGEST_WAIT", 0)

    async def main() -> None:
        kafka = MemoryKafka()
        async with running(ScriptedUpstream(), kafka) as service:
            app = create_app(service, readiness=list, session_views=list, enabled=ENABLED)
            for number, (name, body) in enumerate([*sweep(REQUEST), *sweep(FULL)]):
                own = body.replace(b'"123456789"', b'"r%d"' % number)
                answered = await call(app, "POST", RECORDS if number % 2 else f"{RECORDS}/13", own, [JSON])
                assert answered.status < 500, (name, answered.body)
                correct(answered)
            listed = await call(app, "GET", "/operations?limit=1000")
            assert listed.status == 200
            correct(listed)
        published.check(kafka.records)

    asyncio.run(main())
