"""The example programs that send requests by Kafka, run as their readers run them, on the real Kafka."""

import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bridge.settings import Kafka
from bridge.simulator import Simulator
from tests import page
from tests.integration.example_programs import EXAMPLES, build
from tests.real import RealKafka
from tests.unit.cli_process import Command
from tests.waiting import eventually

REQUEST = {"application": "134", "campaign": "Campaign1", "list": "CallingList1", "device": page.DEVICE, "handle": "13"}


@pytest.fixture
def settings(real_kafka: RealKafka) -> Kafka:
    return Kafka(bootstrap_servers=real_kafka.bootstrap, topic_prefix=f"e{uuid.uuid4().hex[:8]}")


@asynccontextmanager
async def taking_requests(kafka: Kafka) -> AsyncIterator[None]:
    """A ready bridge that takes requests by Kafka, before a stand-in for Web Services."""
    async with Simulator(username="agent") as upstream, aiohttp.ClientSession() as http:
        environment = {
            "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "BRIDGE_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
            "BRIDGE_WEB_SERVICES__URL": upstream.url,
            "BRIDGE_WEB_SERVICES__USERNAME": "agent",
            "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
            "BRIDGE_HTTP__PORT": "0",
            "BRIDGE_OPERATIONS__REQUEST_TOPIC": "true",
        }
        async with Command("run", environment=environment) as command:
            url = await command.url()

            async def ready() -> bool:
                async with http.get(f"{url}/health/ready") as reply:
                    return reply.status == 200

            await eventually(ready, within=60)
            yield


async def run(program: list[str]) -> list[str]:
    async with Command(environment={}, program=program) as running:
        ended = await running.ended(within=60)
    assert ended.status == 0, ended.errors
    return ended.output.splitlines()


async def test_python_requests(settings: Kafka) -> None:
    """The Python program sends a request that the bridge forwards, and prints its outcome."""
    options = [part for name, value in REQUEST.items() for part in (f"--{name}", value)]
    where = ["--bootstrap", settings.bootstrap_servers, "--prefix", settings.topic_prefix, "--reference", "crm-1"]
    async with taking_requests(settings):
        lines = await run([sys.executable, str(EXAMPLES / "python" / "request.py"), *where, *options])
    assert lines == ["crm-1 acknowledged"]


async def test_java_requests(settings: Kafka, tmp_path: Path) -> None:
    """The Java program sends a request that the bridge forwards, and prints its outcome."""
    consumer = await build("java", tmp_path)
    program = [*consumer.start[:-1], "example.RequestDoNotCall"]
    async with taking_requests(settings):
        lines = await run([*program, settings.bootstrap_servers, settings.topic_prefix, *REQUEST.values()])
    assert [line.split()[1] for line in lines] == ["acknowledged"]
