"""The example programs that send requests by Kafka, run as their readers run them, on the real Kafka."""

import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from bridge.delivery import existing_topics
from bridge.settings import Kafka
from bridge.simulator import Simulator
from tests import page
from tests.integration.example_programs import EXAMPLES, build
from tests.real import KafkaServer, create_bridge_topics
from tests.real.process import free_port
from tests.unit.cli_process import Command, Ended
from tests.waiting import eventually

REQUEST = {"application": "134", "campaign": "Campaign1", "list": "CallingList1", "device": page.DEVICE, "handle": "13"}
NAMES = ["python", "java"]


@pytest.fixture
def settings(real_kafka: KafkaServer) -> Kafka:
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


async def run(program: list[str]) -> Ended:
    async with Command(environment={}, program=program) as running:
        return await running.ended(within=60)


async def program(name: str, place: Path, bootstrap: str, prefix: str, *options: str) -> list[str]:
    """The command that requests that a record is marked. `options` are only for the Python program."""
    if name == "java":
        consumer = await build("java", place)
        return [*consumer.start[:-1], "example.RequestDoNotCall", bootstrap, prefix, *REQUEST.values()]
    request = [part for one, value in REQUEST.items() for part in (f"--{one}", value)]
    path = str(EXAMPLES / "python" / "request.py")
    return [sys.executable, path, "--bootstrap", bootstrap, "--prefix", prefix, *request, *options]


async def test_python_requests(settings: Kafka, tmp_path: Path) -> None:
    """The Python program sends a request that the bridge forwards, and prints its outcome."""
    where = settings.bootstrap_servers, settings.topic_prefix
    async with taking_requests(settings):
        ended = await run(await program("python", tmp_path, *where, "--reference", "crm-1"))
    assert (ended.status, ended.output) == (0, "crm-1 acknowledged\n"), ended.errors


async def test_java_requests(settings: Kafka, tmp_path: Path) -> None:
    """The Java program sends a request that the bridge forwards, and prints its outcome."""
    java = await program("java", tmp_path, settings.bootstrap_servers, settings.topic_prefix)
    async with taking_requests(settings):
        ended = await run(java)
    assert (ended.status, ended.output.split()[1:]) == (0, ["acknowledged"]), ended.errors


@pytest.mark.parametrize("name", NAMES)
async def test_no_kafka(name: str, tmp_path: Path) -> None:
    """If no Kafka answers, a program says so in one line, and ends with code 1."""
    address = f"127.0.0.1:{free_port()}"
    ended = await run(await program(name, tmp_path, address, "gws"))
    assert (ended.status, ended.output) == (1, "")
    [line] = ended.errors.splitlines()
    assert line.startswith(f"no Kafka answers at {address}; ")


@pytest.mark.parametrize("name", NAMES)
async def test_no_topic(settings: Kafka, name: str, tmp_path: Path) -> None:
    """If the topics do not exist, a program says so in one line, and does not create them."""
    ended = await run(await program(name, tmp_path, settings.bootstrap_servers, settings.topic_prefix))
    assert (ended.status, ended.output) == (1, "")
    [line] = ended.errors.splitlines()
    assert line.startswith(f"there is no topic {settings.topic_prefix}.requests.v1, {settings.topic_prefix}.operations")
    assert not [topic for topic in await existing_topics(settings) if topic.startswith(settings.topic_prefix)]


@pytest.mark.parametrize("name", NAMES)
async def test_ctrl_c(settings: Kafka, name: str, tmp_path: Path) -> None:
    """At Ctrl-C a program that waits for an outcome ends with one line and code 130."""
    await create_bridge_topics(settings.model_copy(update={"partitions": 1}), ["requests.v1"])
    command = await program(name, tmp_path, settings.bootstrap_servers, settings.topic_prefix)

    async def sent() -> bool:
        place = TopicPartition(f"{settings.topic_prefix}.requests.v1", 0)
        async with AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers) as consumer:
            return bool((await consumer.end_offsets([place]))[place])

    async with Command(environment={}, program=command) as running:
        await eventually(sent, within=60)
        running.send(signal.SIGINT)
        ended = await running.ended()
    assert (ended.status, ended.output) == (130, "")
    # Above it, the client of Kafka may tell of tries that it has repeated.
    assert ended.errors.splitlines()[-1].startswith("stopped; the outcome of ")


async def test_java_without_arguments(tmp_path: Path) -> None:
    """Missing or unusable arguments are code 2 with an example of right ones, and no stack trace."""
    consumer = await build("java", tmp_path)
    for arguments in ([], ["kafka", "gws", "x", "Campaign1", "List", "device", "13"]):
        ended = await run([*consumer.start[:-1], "example.RequestDoNotCall", *arguments])
        assert (ended.status, ended.output) == (2, "")
        assert ended.errors.startswith("Needed: SERVERS PREFIX ")
