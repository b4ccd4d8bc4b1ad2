"""Requests by Kafka: what becomes of each record, when its offset is committed, and when the reading pauses."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import GroupAuthorizationFailedError
from prometheus_client import REGISTRY

from bridge.errors import LoginRefused, RegistryUnavailable, UpstreamUnreachable
from bridge.events import PlainJson
from bridge.privacy import Concealed, Concealment
from tests.memory_kafka import MemoryKafka
from tests.unit.operation_parts import STATE, ScriptedUpstream, statuses, told
from tests.unit.request_parts import REQUEST, RequestTopic, consuming, value
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import msgspec

    from tests.unit.request_parts import MemoryReader

AWAY = UpstreamUnreachable("no connection", sent=False)


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("bridge_requests_total", {"result": result}) or 0.0


def paused(reason: str) -> bool:
    return REGISTRY.get_sample_value("bridge_requests_paused", {"reason": reason}) == 1


async def test_a_record_becomes_an_operation() -> None:
    """A record is forwarded like a call with respond-async, and its events name the record's source."""
    before = counted("accepted")
    async with consuming() as side:
        side.topic.send(b"r-1")
        await eventually(side.done)
    [requested, accepted] = told(side.kafka, "r-1")
    assert (requested.status, accepted.status) == ("requested", "accepted")
    assert (requested.asynchronous, requested.requested_by, requested.record_handle) == (True, "/crm", 13)
    assert side.upstream.requests == [("/api/v2/me/outbound-records/13", {**REQUEST, "referenceId": "r-1"})]
    assert counted("accepted") == before + 1


async def test_without_a_handle() -> None:
    """Without a handle the request itself names the record, by its number."""
    async with consuming() as side:
        side.topic.send(b"r-1", value(recordHandle=None))
        await eventually(side.done)
    assert side.upstream.requests[0][0] == "/api/v2/me/outbound-records"


async def test_the_trace_goes_on() -> None:
    """The record's trace context is that of the operation."""
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with consuming() as side:
        side.topic.send(b"r-1", traceparent=trace)
        await eventually(side.done)
    [requested, _] = [one for one in side.kafka.records if one.topic == "operations.v1"]
    assert ("traceparent", trace) in requested.headers


async def test_the_same_request_again() -> None:
    """An equal request under the same referenceId, also at the same time, forwards nothing a second time."""
    before = counted("repeated")
    async with consuming() as side:
        for _ in range(3):
            side.topic.send(b"r-1")
        await eventually(side.done)
        side.topic.send(b"r-1")
        await eventually(side.done)
    assert len(side.upstream.requests) == 1
    assert counted("repeated") == before + 3


async def test_a_record_that_is_read_again_after_a_crash() -> None:
    """If the offset was not committed, the record is read again, and finds its operation on the ledger."""
    topic, kafka = RequestTopic(), MemoryKafka()
    async with consuming(topic=topic, kafka=kafka) as side:
        side.topic.send(b"r-1")
        await eventually(side.done)
    topic.committed = 0
    async with consuming(topic=topic, kafka=kafka) as again:
        await eventually(again.done)
    assert again.upstream.requests == []
    assert statuses(kafka, "r-1") == ["requested", "accepted"]


async def test_nothing_is_committed_before_it_is_durable() -> None:
    """While Kafka does not take the event, the offset stays, and nothing is forwarded."""
    async with consuming() as side:
        side.topic.send(b"r-0")
        await eventually(side.done)
        side.kafka.available.clear()
        side.topic.send(b"r-1")
        await eventually(lambda: paused("kafka"))
        assert (side.topic.committed, len(side.upstream.requests)) == (1, 1)
        side.kafka.available.set()
        await eventually(side.done)
    assert len(side.upstream.requests) == 2


@pytest.mark.parametrize(
    ("key", "sent", "headers", "problem"),
    [
        (None, None, {}, "reference-invalid"),
        (b"", None, {}, "reference-invalid"),
        (b"\xff", None, {}, "reference-invalid"),
        (b"r" * 256, None, {}, "reference-invalid"),
        (b"x", None, {"ce_source": None}, "headers-invalid"),
        (b"x", None, {"ce_id": b"\xff"}, "headers-invalid"),
        (b"x", None, {"ce_type": b"gws.operation.v1"}, "headers-invalid"),
        (b"x", None, {"ce_specversion": b"0.3"}, "headers-invalid"),
        (b"x", b"", {}, "value-missing"),
        (b"x", b"{" * 100_000, {}, "value-too-large"),
        (b"x", b"{" * 60_000, {}, "malformed-json"),
        (b"x", b'{"account":NaN}', {}, "malformed-json"),
        (b"x", b"\xff\xfe", {}, "malformed-json"),
        (b"x", b"[]", {}, "invalid-request"),
        (b"x", b"null", {}, "invalid-request"),
        (b"x", value(request=None), {}, "invalid-request"),
        (b"x", value(request=[]), {}, "invalid-request"),
        (b"x", value(account=7), {}, "invalid-request"),
        (b"x", value(recordHandle="13"), {}, "invalid-request"),
        (b"x", value(recordHandle=True), {}, "invalid-request"),
        (b"x", value(recordHandle=-1), {}, "invalid-request"),
        (b"x", value(recordHandel=13), {}, "invalid-request"),
        (b"x", value(request={**REQUEST, "operationName": "AddRecord"}), {}, "invalid-request"),
        (b"x", value(request={**REQUEST, "operationName": 7}), {}, "invalid-request"),
        (b"x", value(request={"operationName": "DoNotCallRecord"}), {}, "invalid-request"),
        (b"x", value(request={**REQUEST, "referenceId": "y"}), {}, "reference-mismatch"),
        (b"x", value(account="nobody"), {}, "unknown-account"),
    ],
)
async def test_poison(key: bytes | None, sent: bytes | None, headers: dict[str, bytes | None], problem: str) -> None:
    """An invalid record becomes a dead letter and, with a referenceId, a rejected event. It blocks no other record."""
    before = counted("rejected")
    async with consuming() as side:
        side.topic.send(b"good-1")
        at = side.topic.send(key, sent, **headers)
        side.topic.send(b"good-2")
        await eventually(side.done)
    [letter] = side.dead_letters()
    assert (letter.reason, letter.problem, letter.topic) == ("refused", problem, "requests.v1")
    assert (letter.partition, letter.offset) == (0, at)
    assert counted("rejected") == before + 1
    assert statuses(side.kafka, "x") == (["rejected"] if key == b"x" else [])
    assert {body["referenceId"] for _, body in side.upstream.requests} == {"good-1", "good-2"}


async def test_another_request_with_the_same_reference() -> None:
    """A conflict is a dead letter only: the operation that has the referenceId keeps its state."""
    async with consuming() as side:
        side.topic.send(b"r-1")
        side.topic.send(b"r-1", value(recordHandle=14))
        await eventually(side.done)
    assert [one.problem for one in side.dead_letters()] == ["reference-conflict"]
    assert statuses(side.kafka, "r-1") == ["requested", "accepted"]


async def test_an_invalid_request_with_a_known_reference() -> None:
    """An invalid record never changes an operation that exists."""
    async with consuming() as side:
        side.topic.send(b"r-1")
        side.topic.send(b"r-1", b"no JSON")
        await eventually(side.done)
    assert [one.problem for one in side.dead_letters()] == ["malformed-json"]
    assert statuses(side.kafka, "r-1") == ["requested", "accepted"]


async def test_a_refusal_by_web_services() -> None:
    """A refusal by Web Services is the operation's outcome, and no dead letter."""
    async with consuming(ScriptedUpstream(STATE)) as side:
        side.topic.send(b"r-1")
        await eventually(side.done)
    assert (statuses(side.kafka, "r-1"), side.dead_letters()) == (["requested", "rejected"], [])


async def test_web_services_away() -> None:
    """While Web Services is away the reading pauses, and goes on polling. Nothing is lost when it comes back."""
    upstream = ScriptedUpstream(*[AWAY] * 8)
    async with consuming(upstream, forward_deadline=0.3) as side:
        side.answers.answer = False
        side.topic.send(b"r-1")
        await eventually(lambda: paused("web-services"))
        for number in range(2, 20):
            side.topic.send(b"r-%d" % number)
        polls = side.topic.polls
        await eventually(lambda: side.topic.polls > polls + 20)
        assert (side.topic.paused, side.topic.committed) == (True, 0)
        side.answers.answer = True
        await eventually(side.done)
    assert not paused("web-services")
    assert {statuses(side.kafka, f"r-{number}")[-1] for number in range(1, 20)} == {"accepted"}


async def test_a_login_that_is_refused() -> None:
    """If Web Services answers and still takes nothing, the operation ends after a few attempts and blocks nothing."""
    upstream = ScriptedUpstream(*[LoginRefused("wrong password")] * 3)
    async with consuming(upstream) as side:
        side.topic.send(b"r-1")
        await eventually(side.done)
        side.topic.send(b"r-2")
        await eventually(side.done)
    assert statuses(side.kafka, "r-1") == ["requested", "rejected"] * 3
    assert statuses(side.kafka, "r-2") == ["requested", "accepted"]


async def test_full_lanes() -> None:
    """Requests take half of an account's places. Then the reading pauses, so REST callers still find places."""
    gate = asyncio.Event()
    upstream = ScriptedUpstream(*[gate] * 8)
    async with consuming(upstream, concurrency=4, waiting_room=4) as side:
        for number in range(20):
            side.topic.send(b"r-%d" % number)
        await eventually(lambda: len(upstream.requests) == 4 and side.topic.paused)
        assert paused("busy")
        assert side.topic.committed == 0
        gate.set()
        await eventually(side.done)
    assert len(upstream.requests) == 20


async def test_the_registry_is_away() -> None:
    """A value whose schema the registry can't return now waits. It is not invalid."""
    there = asyncio.Event()

    async def read(sent: bytes) -> bytes:
        if not there.is_set():
            raise RegistryUnavailable("away")
        return sent

    async with consuming(encoding=PlainJson(read)) as side:
        side.topic.send(b"r-1")
        await eventually(lambda: paused("registry"))
        there.set()
        await eventually(side.done)
    assert (side.dead_letters(), len(side.upstream.requests)) == ([], 1)


async def test_an_unreadable_topic() -> None:
    """While the request topic can't be read, the consumer says why, and it reads on when that is over."""
    topic = UnreadableTopic()
    async with consuming(topic=topic) as side:
        topic.send()
        await eventually(lambda: side.consumer.failing is not None)
        topic.readable = True
        await eventually(side.done)
        assert side.consumer.failing is None


async def test_a_fault_of_the_bridge() -> None:
    """An error that nobody expects ends neither the bridge nor the reading: the record becomes a dead letter."""

    async def read(sent: bytes) -> bytes:
        if sent == b"strange":
            raise ZeroDivisionError
        return sent

    async with consuming(encoding=PlainJson(read)) as side:
        side.topic.send(b"r-1", b"strange")
        side.topic.send(b"r-2")
        await eventually(side.done)
    assert [one.problem for one in side.dead_letters()] == ["bridge-fault"]
    assert len(side.upstream.requests) == 1


class UnreadableTopic(RequestTopic):
    """A request topic that the bridge may not read until it is `readable`."""

    readable = False

    @asynccontextmanager
    async def reader(self, let_go: Callable[[], Awaitable[None]]) -> AsyncIterator[MemoryReader]:
        if not self.readable:
            raise GroupAuthorizationFailedError("gws.requests")
        async with super().reader(let_go) as reader:
            yield reader


class FragileConcealment(Concealment):
    """Fails, as only a fault in the code could make it, whenever it gets any content."""

    def of(self, content: msgspec.Raw, number: str | None = None) -> Concealed:
        if bytes(content):
            raise RuntimeError("a fault in the code")
        return super().of(content, number)


async def test_a_fault_in_the_refusal() -> None:
    """If the content of a refused request makes the refusal itself fail, a dead letter without content is stored."""
    async with consuming(privacy=FragileConcealment(None)) as side:
        side.topic.send(b"r-1", b"strange")
        await eventually(side.done)
    [letter] = side.dead_letters()
    assert (letter.problem, letter.start) == ("bridge-fault", "")


async def test_hidden_numbers() -> None:
    """If phone numbers are hidden, no dead letter of a request has one, whether or not it is JSON."""
    async with consuming(privacy=Concealment(None)) as side:
        side.topic.send(b"r-1", value(request={**REQUEST, "phoneNumber": "4155552671", "campaignName": 7}))
        side.topic.send(b"r-2", b"4155552671 is no JSON object, is it")
        await eventually(side.done)
    letters = side.dead_letters()
    assert len(letters) == 2
    assert all("4155552671" not in f"{one.start}{one.detail}" for one in letters)


async def test_long_headers_of_poison() -> None:
    """The dead letter of a record with huge headers and a huge key is small enough for Kafka."""
    async with consuming() as side:
        side.topic.send(b"k" * 2_000_000, ce_id=b"i" * 2_000_000, ce_source=b"s" * 2_000_000)
        await eventually(side.done)
    [letter] = [one for one in side.kafka.records if one.topic == "dead-letters.v1"]
    assert len(letter.key) + len(letter.value) + sum(len(header) for _, header in letter.headers) < 10_000


async def test_a_planned_stop() -> None:
    """A planned stop while Web Services is slow takes nothing back: the successor reads the record again."""
    gate = asyncio.Event()
    topic, kafka = RequestTopic(), MemoryKafka()
    async with consuming(ScriptedUpstream(gate), topic, kafka) as side:
        topic.send(b"r-1")
        await eventually(lambda: side.upstream.requests)
    assert (statuses(kafka, "r-1"), topic.committed) == (["requested"], 0)
