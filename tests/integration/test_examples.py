"""The example consumers, run as their readers run them, on the real servers."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from bridge.delivery import create_missing_topics
from bridge.events import Record, session_record
from bridge.registry import encoding_of
from bridge.relay.translation import Translator
from bridge.settings import Kafka, Registry
from bridge.simulator import Simulator
from tests import page
from tests.real import RealKafka, RealRegistry
from tests.unit.cli_process import Command
from tests.unit.upstream_samples import ACKNOWLEDGEMENT, Sample
from tests.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "examples"
BUILD_DEADLINE = 300


async def produce(kafka: RealKafka, prefix: str, records: list[Record]) -> None:
    await create_missing_topics(Kafka(bootstrap_servers=kafka.bootstrap, topic_prefix=prefix))
    async with asyncio.timeout(30), AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all") as producer:
        for one in records:
            await producer.send_and_wait(f"{prefix}.{one.topic}", one.value, one.key, headers=one.headers)


async def run(*command: str, cwd: Path, **environment: str) -> list[str]:
    """Run a program to its end; return its lines."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return output.decode().splitlines()


@pytest.fixture
def settings(real_kafka: RealKafka, real_registry: RealRegistry) -> Kafka:
    registry = Registry(url=real_registry.url)
    prefix = f"e{uuid.uuid4().hex[:8]}"
    return Kafka(bootstrap_servers=real_kafka.bootstrap, topic_prefix=prefix, format="avro-registry", registry=registry)


REQUEST = {"application": "134", "campaign": "Campaign1", "list": "CallingList1", "device": page.DEVICE, "handle": "13"}


@asynccontextmanager
async def taking_requests(kafka: Kafka) -> AsyncIterator[Simulator]:
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
            yield upstream


async def test_python_requests(settings: Kafka) -> None:
    """The Python program sends a request that the bridge forwards, and prints its outcome."""
    options = [part for name, value in REQUEST.items() for part in (f"--{name}", value)]
    where = ["--bootstrap", settings.bootstrap_servers, "--prefix", settings.topic_prefix, "--reference", "crm-1"]
    async with taking_requests(settings):
        lines = await run(sys.executable, str(EXAMPLES / "python" / "request.py"), *where, *options, cwd=EXAMPLES)
    assert lines == ["crm-1 acknowledged"]


async def test_java_requests(settings: Kafka) -> None:
    """The Java program sends a request that the bridge forwards, and prints its outcome."""
    java = EXAMPLES / "java"
    await asyncio.to_thread(
        subprocess.run, ["mvn", "--batch-mode", "--quiet", "compile"], cwd=java, check=True, timeout=BUILD_DEADLINE
    )
    program = ["java", "-cp", ".build/classes:.build/jars/*", "example.RequestDoNotCall"]
    async with taking_requests(settings):
        lines = await run(*program, settings.bootstrap_servers, settings.topic_prefix, *REQUEST.values(), cwd=java)
    assert [line.split()[1] for line in lines] == ["acknowledged"]


def acknowledgements(count: int) -> list[Sample]:
    data = page.ACKNOWLEDGEMENT["data"]
    return [Sample(ACKNOWLEDGEMENT.channel, data | {"referenceId": str(number)}) for number in range(count)]


@pytest.mark.parametrize("form", ["json", "json-registry"])
async def test_python(settings: Kafka, real_kafka: RealKafka, tmp_path: Path, form: str) -> None:
    """The Python consumer marks a record once for each event, though the events come again, and tells of a gap."""
    encoding = encoding_of(settings.model_copy(update={"format": form}))
    await encoding.run()
    relayed = Translator("agent", encoding).translate(
        [sample.event for sample in acknowledgements(3)], session="s", first_sequence=0, received_at=0
    )
    gap = session_record("gap", account="agent", session="s", at=2, from_=0, to=1, encoding=encoding)
    records = [*relayed.records, gap]
    await produce(real_kafka, settings.topic_prefix, [*records, *records])
    await run(sys.executable, "-m", "bridge", "schemas", "models", "--output", "gws_events.py", cwd=tmp_path)
    where = ["--bootstrap", real_kafka.bootstrap, "--prefix", settings.topic_prefix, "--events", str(2 * len(records))]
    program = [sys.executable, str(EXAMPLES / "python" / "acknowledgements.py"), *where]
    lines = await run(*program, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    told = Counter(line.split()[-1] for line in lines if not line.startswith("gap"))
    assert told == {dict(record.headers)["ce_id"].decode(): 1 for record in records}
    assert [line for line in lines if line.startswith("gap of agent")]
    assert await run(*program, "--group", "another", cwd=tmp_path, PYTHONPATH=str(tmp_path)) == []


async def test_java(settings: Kafka, real_kafka: RealKafka, real_registry: RealRegistry) -> None:
    """The Java consumer is compiled with classes of the schemas, and reads the Avro that the bridge writes."""
    encoding = encoding_of(settings)
    await encoding.run()
    samples = acknowledgements(3)
    relayed = Translator("agent", encoding).translate(
        [sample.event for sample in samples], session="s", first_sequence=0, received_at=0
    )
    await produce(real_kafka, settings.topic_prefix, relayed.records)
    java = EXAMPLES / "java"
    await asyncio.to_thread(
        subprocess.run, ["mvn", "--batch-mode", "--quiet", "compile"], cwd=java, check=True, timeout=BUILD_DEADLINE
    )
    topic = f"{settings.topic_prefix}.acknowledgements.v1"
    lines = await run(
        "java",
        "-cp",
        ".build/classes:.build/jars/*",
        "example.Acknowledgements",
        real_kafka.bootstrap,
        real_registry.url,
        topic,
        "examples",
        str(len(samples)),
        cwd=java,
    )
    read = [msgspec.json.decode(line) for line in lines]
    assert [line["original"] for line in read] == [sample.data for sample in samples]
    assert [line["id"] for line in read] == ["s-0", "s-1", "s-2"]
    assert {(line["key"], line["recordHandle"]) for line in read} == {("134/Campaign1/13", 13)}
