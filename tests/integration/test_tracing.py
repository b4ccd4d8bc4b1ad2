"""One trace from the REST call through Web Services to the acknowledgement's record on Kafka."""

import asyncio
import json
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from bridge.app import Bridge
from bridge.delivery import read
from bridge.observability import tracing
from bridge.observability.span_export import provider
from bridge.settings import load
from bridge.simulator import Simulator
from bridge.simulator.broker import EmbeddedBroker
from tests.serving import serving
from tests.unit.cli_process import Command

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
PHONE = "5550003001"
OPERATION = {
    "operationName": "DoNotCallRecord",
    "applicationId": 134,
    "campaignName": "Campaign1",
    "callingList": "CallingList1",
    "phoneNumber": PHONE,
    "chainAttribute": "AllChain",
    "devicePath": "/devices/f32a46c4-8a48-4067-9965-537fc9788790",
}


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Tracing, into memory; `tracing.stop()` sees to it that all spans are there."""
    exporter = InMemorySpanExporter()
    tracing.use(provider(exporter, "test", sample_ratio=1, version="test"))
    yield exporter
    tracing.stop()


def environment(upstream: Simulator, shared_broker: EmbeddedBroker) -> dict[str, str]:
    return {
        "BRIDGE_WEB_SERVICES__URL": upstream.url,
        "BRIDGE_WEB_SERVICES__USERNAME": "agent",
        "BRIDGE_WEB_SERVICES__PASSWORD": "pa55word",
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": shared_broker.bootstrap,
        "BRIDGE_KAFKA__CHECK_CRCS": "false",
        "BRIDGE_KAFKA__TOPIC_PREFIX": f"t{uuid.uuid4().hex[:8]}",
        "BRIDGE_HTTP__PORT": "0",
    }


async def mark(url: str, **headers: str) -> None:
    """Mark a record once the bridge is ready, and wait for the acknowledgement."""
    async with asyncio.timeout(20), aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"{url}/health/ready") as reply:
                if reply.status == 200:
                    break
            await asyncio.sleep(0.05)
        wanted = {"Prefer": "wait=10", **headers}
        async with http.post(f"{url}/api/v2/me/outbound-records/13", json=OPERATION, headers=wanted) as reply:
            assert (reply.status, (await reply.json())["status"]) == (200, "acknowledged")


async def mark_in_process(shared_broker: EmbeddedBroker, **headers: str) -> dict[str, str | None]:
    """Mark a record by a bridge in this process; return the `traceparent` of its records, by topic and status."""
    async with Simulator(username="agent", password="pa55word") as upstream:
        settings = load(environment=environment(upstream, shared_broker))
        stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
        running = asyncio.create_task(Bridge(settings).run(stop, listening=listening.set_result))
        try:
            await mark(await asyncio.wait_for(listening, 20), **headers)
        finally:
            stop.set()
            await running
        found: dict[str, str | None] = {}
        async with aclosing(read(settings.kafka, from_beginning=True, until_end=True)) as records:
            async for record in records:
                topic = record.topic.removeprefix(f"{settings.kafka.topic_prefix}.")
                status = json.loads(record.value or b"{}").get("status", "")
                sent = record.headers.get("traceparent")
                found[f"{topic} {status}".strip()] = None if sent is None else sent.decode()
        return found


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    tracing.stop()
    return {span.name: span for span in exporter.get_finished_spans()}


def spot(span: ReadableSpan) -> str:
    """Where the span is, as its `traceparent` says."""
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


async def test_one_trace(shared_broker: EmbeddedBroker, exporter: InMemorySpanExporter) -> None:
    """Caller, REST request, upstream POST and Kafka records are one trace; the relay's turn is linked to it."""
    records = await mark_in_process(shared_broker, traceparent=f"00-{TRACE}-{CALLER}-01")
    spans = by_name(exporter)
    server = spans["POST /api/"]
    assert (server.kind, parent_of(server)) == (SpanKind.SERVER, CALLER)
    request = spot(server).split("-")[2]
    client = spans["forward DoNotCallRecord"]
    assert (client.kind, parent_of(client)) == (SpanKind.CLIENT, request)
    published = spans["publish acknowledgements.v1"]
    assert (published.kind, parent_of(published)) == (SpanKind.PRODUCER, request)
    assert records["acknowledgements.v1"] == records["operations.v1 acknowledged"] == spot(published)
    assert {str(spot(span)).split("-")[1] for span in (server, client, published)} == {TRACE}
    assert all(str(records[f"operations.v1 {status}"]).split("-")[1] == TRACE for status in ("requested", "accepted"))
    turn = spans["relay turn"]
    assert turn.context is not None
    assert [link.context.span_id for link in published.links] == [turn.context.span_id]
    assert [f"{link.context.span_id:016x}" for link in turn.links] == [request]


async def test_what_spans_tell(shared_broker: EmbeddedBroker, exporter: InMemorySpanExporter) -> None:
    """Without a caller's trace there is a new one; spans name route and status, and nothing personal or secret."""
    records = await mark_in_process(shared_broker)
    spans = by_name(exporter)
    server = spans["POST /api/"]
    assert server.parent is None
    assert str(records["acknowledgements.v1"]).split("-")[1] == spot(server).split("-")[1]
    assert dict(server.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/api/v2/me/outbound-records/{recordHandle}",
        "http.response.status_code": 200,
    }
    told = "".join(span.to_json() for span in spans.values())
    assert not [secret for secret in (PHONE, "pa55word", "Campaign1") if secret in told]


async def test_off_leaves_the_callers_trace_alone(shared_broker: EmbeddedBroker) -> None:
    """While tracing is off the records carry the caller's own traceparent, unchanged."""
    sent = f"00-{TRACE}-{CALLER}-01"
    records = await mark_in_process(shared_broker, traceparent=sent)
    told = {records[name] for name in ("acknowledgements.v1", "operations.v1 requested", "operations.v1 acknowledged")}
    assert told == {sent}


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, list[Any]]]:
    """An OTLP/HTTP receiver; yields its base URL, and the spans that it was sent."""
    spans: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        batch = ExportTraceServiceRequest.FromString(await request.read())
        spans.extend(
            span for resource in batch.resource_spans for scope in resource.scope_spans for span in scope.spans
        )
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/v1/traces", take)])
    async with serving(app) as url:
        yield url, spans


async def test_spans_reach_a_collector(shared_broker: EmbeddedBroker) -> None:
    """`bridge run` sends its spans by OTLP over HTTP, and at a planned stop those that are left."""
    async with Simulator(username="agent", password="pa55word") as upstream, collector() as (endpoint, spans):
        given = environment(upstream, shared_broker)
        given |= {"BRIDGE_TRACING__ENABLED": "true", "BRIDGE_TRACING__ENDPOINT": endpoint}
        async with Command("run", environment=given) as command:
            await mark(await command.url(), traceparent=f"00-{TRACE}-{CALLER}-01")
            command.send(signal.SIGTERM)
            assert (await command.ended()).status == 0
    own = {span.name for span in spans if span.trace_id.hex() == TRACE}
    assert {"POST /api/", "forward DoNotCallRecord", "publish acknowledgements.v1"} <= own


async def test_a_missing_library_stops_the_start() -> None:
    """Tracing without its extra is a wrong setting: one line that says what to install, and exit code 2."""
    without = "import sys; sys.modules['opentelemetry.sdk'] = None; from bridge.cli import main; main()"
    given = {
        "BRIDGE_WEB_SERVICES__URL": "http://127.0.0.1:9",
        "BRIDGE_WEB_SERVICES__USERNAME": "agent",
        "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "BRIDGE_TRACING__ENABLED": "true",
    }
    async with Command("run", environment=given, program=(sys.executable, "-c", without)) as command:
        ended = await command.ended()
    assert ended.status == 2
    assert (
        "BRIDGE_TRACING__ENABLED: needs the extra `otel`; in a clone of the repository, run: pip install '.[otel]'"
        in ended.errors
    )
