"""Commands that read topics, and `bridge run` without the right to create topics, on a Kafka that creates topics."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import aiohttp
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from bridge.delivery import ConsumedRecord, read
from bridge.events import TOPICS
from bridge.settings import Kafka
from bridge.simulator import Simulator
from tests.real import KafkaServer, create_bridge_topics, kafka_admin
from tests.unit.cli_process import Command, bridge
from tests.waiting import eventually

PASSWORD = "correct-horse-battery"
SLOTS = 4
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = 60_000


@pytest.fixture
def kafka(real_kafka: KafkaServer) -> Kafka:
    """A prefix of the test's own, without topics. The broker has auto.create.topics.enable=true."""
    return Kafka(bootstrap_servers=real_kafka.bootstrap, topic_prefix=f"reading-{uuid.uuid4().hex}")


@pytest.fixture
def environment(kafka: Kafka) -> dict[str, str]:
    """The settings that a consumer has: those of Kafka."""
    return {
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "BRIDGE_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
    }


@pytest_asyncio.fixture
async def bridge_environment(environment: dict[str, str]) -> AsyncIterator[dict[str, str]]:
    """The settings of a bridge that must not create topics, at a simulated Web Services."""
    async with Simulator(users={"agent": PASSWORD}) as upstream:
        yield environment | {
            "BRIDGE_WEB_SERVICES__URL": upstream.url,
            "BRIDGE_WEB_SERVICES__USERNAME": "agent",
            "BRIDGE_WEB_SERVICES__PASSWORD": PASSWORD,
            "BRIDGE_KAFKA__CREATE_TOPICS": "false",
            "BRIDGE_KAFKA__SLOTS": str(SLOTS),
            "BRIDGE_HTTP__PORT": "0",
        }


async def topics(kafka: Kafka) -> list[str]:
    """The topics of the prefix that exist, without the prefix."""
    async with kafka_admin(kafka.bootstrap_servers) as admin:
        found = [name.rpartition(kafka.topic_prefix + ".") for name in await admin.list_topics()]
    return sorted(name for _, prefix, name in found if prefix)


async def create(kafka: Kafka, *, cleanup: str, slots: int = SLOTS) -> None:
    """Create all topics of the bridge by hand."""
    async with kafka_admin(kafka.bootstrap_servers) as admin:
        events = [NewTopic(f"{kafka.topic_prefix}.{topic}", 1, 1) for topic in TOPICS]
        options = {"cleanup.policy": cleanup}
        state = NewTopic(f"{kafka.topic_prefix}.bridge-state", slots, 1, topic_configs=options)
        await admin.create_topics([*events, state])


async def missing(url: str) -> dict[str, str]:
    """What /health/ready says is missing, with the reason."""
    async with aiohttp.ClientSession() as client, client.get(f"{url}/health/ready") as reply:
        told = await reply.json(content_type=None)
    return {one["name"]: one["reason"] for one in told.get("missing", ())}


async def unready(url: str, text: str) -> str:
    """Wait until the bridge is not ready because of Kafka, with a reason that contains this text. Return the reason."""
    async with asyncio.timeout(20):
        while text not in (reason := (await missing(url)).get("kafka", "")):  # noqa: ASYNC110 -- the bridge has no event for readiness
            await asyncio.sleep(0.05)
    return reason


@pytest.mark.parametrize(
    "command",
    [["tail"], ["tail", "--topic", "user-event"], ["tail", "--topic", "sessions.v1"], ["dead-letters", "list"]],
)
async def test_reading_before_the_first_run_creates_nothing(
    kafka: Kafka, environment: dict[str, str], command: list[str]
) -> None:
    """Before the bridge has ever run, reading ends with code 1 and one line, and no topic exists afterwards."""
    ended = await bridge(*command, environment=environment)
    assert (ended.status, ended.output) == (1, "")
    [line] = ended.errors.splitlines()
    assert f"no topics {kafka.topic_prefix}.*" in line
    assert await topics(kafka) == []


async def test_a_topic_that_does_not_exist_is_named_with_those_that_do(
    kafka: Kafka, environment: dict[str, str]
) -> None:
    """A wrong name ends with code 2, a suggestion and the names that exist, and creates no topic."""
    await create_bridge_topics(kafka)
    before = await topics(kafka)
    ended = await bridge("tail", "--topic", "user-event", environment=environment)
    assert (ended.status, ended.output) == (2, "")
    assert ended.errors == (
        "there is no topic user-event; did you mean user-events? There are acknowledgements, dead-letters, operations, "
        "sessions, unrecognized, user-events\n"
    )
    assert await topics(kafka) == before


async def test_run_creates_no_topics_if_it_must_not(kafka: Kafka, bridge_environment: dict[str, str]) -> None:
    """With BRIDGE_KAFKA__CREATE_TOPICS=false, a bridge without topics is not ready, and none appears."""
    async with Command("run", environment=bridge_environment) as command:
        reason = await unready(await command.url(), "unknown topic")
        await eventually(lambda: '"kafka-disconnected"' in command.errors, within=20)
    assert f"{kafka.topic_prefix}.bridge-state" in reason
    assert await topics(kafka) == []


async def test_a_position_topic_that_is_not_compacted(kafka: Kafka, bridge_environment: dict[str, str]) -> None:
    """Such a topic loses positions: the bridge is not ready, and the check fails, with the same reason."""
    await create(kafka, cleanup="delete")
    checked = await bridge("check", environment=bridge_environment)
    assert (checked.status, checked.findings()["topics"]) == (1, "failed")
    assert "cleanup.policy=delete instead of compact" in checked.output
    async with Command("run", environment=bridge_environment) as command:
        await unready(await command.url(), "cleanup.policy=delete instead of compact")


@pytest.mark.parametrize(
    ("cleanup", "slots", "outcome"),
    [("compact", SLOTS, "ok"), ("compact", 2, "warning"), ("compact,delete", SLOTS, "warning")],
)
async def test_a_position_topic_made_by_hand(
    kafka: Kafka, bridge_environment: dict[str, str], cleanup: str, slots: int, outcome: str
) -> None:
    """The check warns of another number of slots, and of a position topic that forgets; the bridge gets ready."""
    await create(kafka, cleanup=cleanup, slots=slots)
    checked = await bridge("check", environment=bridge_environment)
    assert (checked.status, checked.findings()["topics"]) == (0, outcome)
    async with Command("run", environment=bridge_environment) as command:
        url = await command.url()
        async with asyncio.timeout(20):
            while await missing(url):  # noqa: ASYNC110 -- the bridge has no event for readiness
                await asyncio.sleep(0.05)


async def fill(kafka: Kafka) -> None:
    """Write ten events, one a minute from 12:00 on, to partitions of two topics in turn."""
    await create_bridge_topics(kafka)
    names = [f"{kafka.topic_prefix}.{topic}" for topic in ("acknowledgements.v1", "user-events.v1")]
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        for number in range(10):
            value = json.dumps({"notificationType": f"event-{number}", "referenceId": f"r-{number % 2}"}).encode()
            at = round(NOON.timestamp() * 1000) + number * MINUTE
            await producer.send_and_wait(
                names[number % 2], value, b"k-%d" % (number % 3), partition=number % 5, timestamp_ms=at
            )


async def values(kafka: Kafka, **options: object) -> list[str]:
    """The events until the end, in the order in which `read` yields them."""
    found: list[ConsumedRecord] = []
    async with aclosing(read(kafka, until_end=True, **options)) as records:  # type: ignore[arg-type]
        found += [record async for record in records]
    return [json.loads(record.value or b"{}")["notificationType"] for record in found]


def events(numbers: Sequence[int]) -> list[str]:
    return [f"event-{number}" for number in numbers]


async def test_the_newest_comes_last_across_topics(kafka: Kafka) -> None:
    """Existing events come in the order of time from all partitions of all topics, or only those since a time."""
    await fill(kafka)
    assert await values(kafka, from_beginning=True) == events(range(10))
    assert await values(kafka, since=NOON.timestamp() + 6.5 * 60) == events([7, 8, 9])
    assert await values(kafka, since=NOON.timestamp() + 600) == []


async def test_tail_that_does_not_follow(kafka: Kafka, environment: dict[str, str]) -> None:
    """`--no-follow` prints what exists and ends; topic, key, reference and time select from it."""
    await fill(kafka)

    async def shown(*arguments: str) -> list[str]:
        ended = await bridge("tail", "--no-follow", *arguments, environment=environment)
        assert ended.status == 0
        header, *lines = ended.output.splitlines()
        assert header.split() == ["TIME", "(UTC)", "TOPIC", "EVENT", "KEY", "REFERENCE"]
        return [line.split()[3] for line in lines]

    assert await shown() == events(range(10))
    assert await shown("--since", "2026-01-31T12:06:30") == events([7, 8, 9])
    assert await shown("--topic", "user-events") == events([1, 3, 5, 7, 9])
    assert await shown("--topic", f"{kafka.topic_prefix}.user-events.v1", "--events", "2") == events([1, 3])
    assert await shown("--key", "k-0") == events([0, 3, 6, 9])
    assert await shown("--key", "k-0", "--reference", "r-1") == events([3, 9])
    assert await shown("--topic", "dead-letters") == []


async def test_tail_follows_after_the_existing_events(kafka: Kafka, environment: dict[str, str]) -> None:
    """After the existing events, new ones are printed as they arrive."""
    await fill(kafka)
    async with Command("tail", "--since", "2026-01-31T12:06:30", "--json", environment=environment) as tail:
        await eventually(lambda: tail.output.count("\n") == 3, within=20)
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
            await producer.send_and_wait(f"{kafka.topic_prefix}.sessions.v1", b'{"change": "gap"}', b"agent")
        await eventually(lambda: '"gap"' in tail.output, within=20)
    assert tail.output.count("\n") == 4
