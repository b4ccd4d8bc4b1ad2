"""The example consumers, run as their readers run them, on the real servers."""

import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from bridge.delivery import existing_topics
from bridge.events import Record, session_record
from bridge.registry import encoding_of
from bridge.relay.translation import Translator
from bridge.settings import Kafka, Registry
from tests import page
from tests.integration.example_programs import BUILDERS, EXAMPLES, Program, build
from tests.real import KafkaServer, RealRegistry, create_bridge_topics, kafka_admin
from tests.real.process import free_port
from tests.unit.cli_process import Command, Ended
from tests.unit.upstream_samples import ACKNOWLEDGEMENT, Sample
from tests.waiting import eventually

SCHEMAS = EXAMPLES.parent / "schemas"
READERS_OF_JSON = ["python", "go", "typescript"]
Reader = Callable[[str], Awaitable[Program]]


@pytest_asyncio.fixture(scope="module")
async def program(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reader]:
    """Builds an example by its name, once for this file."""
    built: dict[str, Program] = {}

    async def get(name: str) -> Program:
        if name not in built:
            built[name] = await build(name, tmp_path_factory.mktemp("examples"))
        return built[name]

    yield get


@pytest.fixture
def settings(real_kafka: KafkaServer) -> Kafka:
    return Kafka(bootstrap_servers=real_kafka.bootstrap, topic_prefix=f"e{uuid.uuid4().hex[:8]}")


async def relayed(settings: Kafka, count: int) -> list[Record]:
    """Acknowledgements as the bridge writes them with these settings, and a gap."""
    encoding = encoding_of(settings)
    await encoding.run()
    data = page.ACKNOWLEDGEMENT["data"]
    samples = [Sample(ACKNOWLEDGEMENT.channel, data | {"referenceId": str(number)}) for number in range(count)]
    events = Translator("agent", encoding).translate(
        [sample.event for sample in samples], session="s", first_sequence=0, received_at=0
    )
    gap = session_record("gap", account="agent", session="s", at=2, from_=0, to=1, encoding=encoding)
    return [*events.records, gap]


async def produce(settings: Kafka, records: list[Record], *, aborted: bool = False) -> None:
    """Write records in one transaction, which is aborted or committed."""
    await create_bridge_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, transactional_id=uuid.uuid4().hex)
    async with producer:
        await producer.begin_transaction()
        for one in records:
            await producer.send_and_wait(
                f"{settings.topic_prefix}.{one.topic}", one.value, one.key, headers=list(one.headers)
            )
        await (producer.abort_transaction() if aborted else producer.commit_transaction())


async def run(command: list[str]) -> Ended:
    async with Command(environment={}, program=command) as running:
        return await running.ended(within=60)


def read(ended: Ended) -> list[dict[str, object]]:
    """The events that a program has printed, in the order of their ids."""
    assert ended.status == 0, ended.errors
    return sorted(map(msgspec.json.decode, ended.output.splitlines()), key=lambda line: line["id"])


@pytest.mark.parametrize("form", ["json", "json-registry"])
@pytest.mark.parametrize("name", READERS_OF_JSON)
async def test_readers_of_json(
    program: Reader, settings: Kafka, real_registry: RealRegistry, name: str, form: str
) -> None:
    """Each prints the committed acknowledgements with their referenceIds and tells of a gap, but no aborted event."""
    settings = settings.model_copy(update={"format": form, "registry": Registry(url=real_registry.url)})
    records = await relayed(settings, 3)
    await produce(settings, records, aborted=True)
    await produce(settings, records)
    reader = await program(name)
    ended = await run(
        reader.arguments(settings.bootstrap_servers, settings.topic_prefix, events=len(records), group=uuid.uuid4().hex)
    )
    data = page.ACKNOWLEDGEMENT["data"]
    assert read(ended) == [
        {
            "id": f"s-{number}",
            "key": "134/Campaign1/13",
            "notificationType": data["notificationType"],
            "referenceId": str(number),
            "recordHandle": 13,
        }
        for number in range(3)
    ]
    assert "gap of agent: nothing is known from 1970-01-01T00:00:00" in ended.errors


async def test_python_marks_once(program: Reader, settings: Kafka) -> None:
    """The Python consumer deals with each event once, though the events come again."""
    records = await relayed(settings, 3)
    await produce(settings, [*records, *records])
    python = await program("python")
    where = (settings.bootstrap_servers, settings.topic_prefix)
    first = await run(python.arguments(*where, events=2 * len(records), group="first"))
    assert [line["id"] for line in read(first)] == ["s-0", "s-1", "s-2"]
    assert first.errors.count("gap of agent") == 1
    second = await run(python.arguments(*where, events=2 * len(records), group="second"))
    assert (second.status, second.output) == (0, "")


async def test_java(program: Reader, settings: Kafka, real_registry: RealRegistry) -> None:
    """The Java consumer is compiled with a class of the schema, and reads the Avro that the bridge writes."""
    settings = settings.model_copy(update={"format": "avro-registry", "registry": Registry(url=real_registry.url)})
    records = await relayed(settings, 3)
    await produce(settings, records)
    java = await program("java")
    where = (settings.bootstrap_servers, settings.topic_prefix)
    lines = read(await run(java.arguments(*where, events=3, registry=real_registry.url)))
    data = page.ACKNOWLEDGEMENT["data"]
    assert [line["original"] for line in lines] == [data | {"referenceId": str(number)} for number in range(3)]
    assert [line["id"] for line in lines] == ["s-0", "s-1", "s-2"]
    assert {(line["key"], line["recordHandle"]) for line in lines} == {("134/Campaign1/13", 13)}


def test_the_schema_of_java_is_the_bridges() -> None:
    """The example has its own copy of the schema, so that it can be built anywhere; both are the same."""
    copy = EXAMPLES / "java" / "src" / "main" / "avro" / "acknowledgement.avsc"
    assert copy.read_bytes() == (SCHEMAS / "acknowledgement" / "v1.avsc").read_bytes()


@pytest.mark.parametrize("name", BUILDERS)
async def test_ctrl_c(program: Reader, settings: Kafka, real_kafka: KafkaServer, name: str) -> None:
    """At Ctrl-C a consumer ends with one line and code 130."""
    await create_bridge_topics(settings)
    reader, group = await program(name), uuid.uuid4().hex
    command = reader.arguments(settings.bootstrap_servers, settings.topic_prefix, group=group)

    async def reads() -> bool:
        async with kafka_admin(real_kafka.bootstrap) as admin:
            [answer] = await admin.describe_consumer_groups([group])
        return bool(answer.groups[0][2] == "Stable")

    async with Command(environment={}, program=command) as running:
        await eventually(reads, within=60)
        running.send(signal.SIGINT)
        ended = await running.ended()
    assert (ended.status, ended.output) == (130, "")
    # Above it, the client of Kafka may tell of tries that it has repeated.
    assert ended.errors.splitlines()[-1] == "stopped; the next start continues here"


@pytest.mark.parametrize("name", BUILDERS)
async def test_no_kafka(program: Reader, name: str) -> None:
    """If no Kafka answers, a consumer says so in one line, and ends with code 1."""
    reader, address = await program(name), f"127.0.0.1:{free_port()}"
    ended = await run(reader.arguments(address, "gws"))
    assert (ended.status, ended.output) == (1, "")
    [line] = ended.errors.splitlines()
    assert line.startswith(f"no Kafka answers at {address}")
    assert "does it run" in line


@pytest.mark.parametrize("name", BUILDERS)
async def test_no_topic(program: Reader, settings: Kafka, name: str) -> None:
    """If there is no such topic, a consumer says so in one line, and does not create it."""
    reader = await program(name)
    ended = await run(reader.arguments(settings.bootstrap_servers, settings.topic_prefix))
    assert (ended.status, ended.output) == (1, "")
    [line] = ended.errors.splitlines()
    assert f"there is no topic {settings.topic_prefix}.acknowledgements.v1" in line
    assert not [topic for topic in await existing_topics(settings) if topic.startswith(settings.topic_prefix)]


@pytest.mark.parametrize("name", BUILDERS)
async def test_another_format(program: Reader, settings: Kafka, name: str) -> None:
    """A value in another format ends a consumer with a line that names the format that it reads."""
    [record, *_] = await relayed(settings, 1)
    value = record.value if name == "java" else b"\0\0\0\0\1" + b"\2avro"
    await produce(settings, [msgspec.structs.replace(record, value=value)])
    reader = await program(name)
    ended = await run(reader.arguments(settings.bootstrap_servers, settings.topic_prefix, group=uuid.uuid4().hex))
    assert (ended.status, ended.output) == (1, "")
    # Among others, the client of Kafka may tell of tries that it has repeated, as those for a new partition.
    place = f"{settings.topic_prefix}.acknowledgements.v1/"
    [line] = [line for line in ended.errors.splitlines() if line.startswith(place)]
    assert "this example reads kafka.format = " in line


@pytest.mark.parametrize(
    ("name", "arguments"), [("java", ()), ("python", ("x",)), ("go", ("x",)), ("typescript", ("x",))]
)
async def test_wrong_arguments(program: Reader, name: str, arguments: tuple[str, ...]) -> None:
    """Missing or unknown arguments are code 2 with a hint, and no stack trace."""
    reader = await program(name)
    ended = await run([*reader.start, *arguments])
    assert (ended.status, ended.output) == (2, "")
    assert not [line for line in ended.errors.splitlines() if line.lstrip().startswith(("at ", "File ", "goroutine"))]
