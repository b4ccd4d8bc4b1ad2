"""The bridge and a Kafka that asks who comes, and allows no more than docs/kafka-security.md says."""

import asyncio
import itertools
import re
import shlex
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr

from bridge.commands.checks.finding import Outcome
from bridge.commands.checks.kafka import check_kafka
from bridge.delivery import (
    AccountKeys,
    ConsumedRecord,
    GroupReader,
    KafkaLedger,
    KafkaProbe,
    Position,
    Slots,
    create_missing_topics,
    group_reader,
    topic_names,
)
from bridge.events import TOPICS, Record
from bridge.settings import Delivery, Kafka
from bridge.simulator import Simulator
from tests.certificates import Authority
from tests.real import require_real_parts
from tests.real.secure_kafka import MECHANISMS, Right, SecureKafka
from tests.unit.cli_process import Command
from tests.waiting import eventually

PASSWORD = "kafka-pa55word"
PAGE = Path(__file__).parents[2] / "docs" / "kafka-security.md"
ACCOUNT = "agent"


def documented_rights() -> list[Right]:
    """Those of the page's `kafka-acls` commands, for the prefix gws and the account agent, but the optional."""
    rights = []
    needed, found, _ = PAGE.read_text(encoding="utf-8").partition("### Rights of optional parts")
    assert found
    for command in re.findall(r"^ *(kafka-acls .*--add .*)$", needed, re.MULTILINE):
        words = shlex.split(command)
        [kind] = [word for word in words if word in {"--topic", "--transactional-id", "--group"}]
        resource = kind.removeprefix("--").replace("-", "_")
        name = words[words.index(kind) + 1]
        rights += [
            Right(resource, name, words[at + 1].lower()) for at, word in enumerate(words) if word == "--operation"
        ]
    return rights


DOCUMENTED = documented_rights()
REQUEST_RIGHTS = [right for right in DOCUMENTED if "requests" in right.name]
"""The further rights of a bridge that takes requests by Kafka."""
FLEET_RIGHTS = [right for right in DOCUMENTED if right.resource == "group" and right not in REQUEST_RIGHTS]
RIGHTS = [right for right in DOCUMENTED if right not in FLEET_RIGHTS + REQUEST_RIGHTS]
"""The rights of a bridge without a fleet, and without requests by Kafka."""
TOPIC_RIGHTS = [right for right in RIGHTS if right.resource == "topic"]


@dataclass
class Site:
    """The secured Kafka, with every topic of the bridge, and the user `bridge` that has the documented rights."""

    kafka: SecureKafka
    authority: Authority
    directory: Path

    def sasl(self, mechanism: str = "SCRAM-SHA-512", **changes: Any) -> Kafka:
        """The settings of a bridge that logs in."""
        values: dict[str, Any] = {
            "bootstrap_servers": self.kafka.address("SASL"),
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": mechanism,
            "sasl_username": "bridge",
            "sasl_password": PASSWORD,
        }
        return self._settings(values | changes)

    def mutual(self, **changes: Any) -> Kafka:
        """The settings of a bridge that shows a certificate."""
        return self._settings({"bootstrap_servers": self.kafka.address("MUTUAL"), "security_protocol": "SSL"} | changes)

    def _settings(self, values: dict[str, Any]) -> Kafka:
        common: dict[str, Any] = {
            "ssl_cafile": self.authority.certificate,
            "create_topics": False,
            "request_timeout": 3,
        }
        return Kafka(**common | values)


@pytest_asyncio.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    require_real_parts()
    directory = tmp_path_factory.mktemp("certificates")
    authority = Authority(directory)
    async with SecureKafka(authority, ["bridge", "newcomer"], PASSWORD) as kafka:
        await create_missing_topics(Kafka(bootstrap_servers=kafka.bootstrap), ["requests.v1"])
        await kafka.allow("bridge", RIGHTS)
        yield Site(kafka, authority, directory)


async def findings(
    settings: Kafka, *, in_fleet: bool = False, reads: Sequence[str] = ()
) -> dict[str, tuple[Outcome, str]]:
    """What `bridge check` finds, by subject, without `evidence`: it needs a right that the bridge does not need."""
    found = check_kafka(settings, [ACCOUNT], in_fleet=in_fleet, reads=reads)
    told = {one.subject: (one.outcome, one.text) async for one in found}
    assert told.pop("evidence", (Outcome.SKIPPED, ""))[0] is Outcome.SKIPPED
    return told


async def publish_everything(settings: Kafka) -> None:
    """Do all that a bridge does with Kafka: take over, read the position, publish, append, follow."""
    publishers = [Slots(settings).publisher(AccountKeys(ACCOUNT, SecretStr("secret"))) for _ in range(2)]
    ledger = KafkaLedger(settings, "operations.v1", ("acknowledgements.v1",))
    caught_up = asyncio.Event()

    async def take(_: Sequence[ConsumedRecord]) -> None:
        pass  # what is read does not matter here

    following = asyncio.create_task(ledger.follow(take, caught_up.set))
    key = uuid.uuid4().bytes
    position = Position(
        client_id="c", acknowledgement=1, base_sequence=0, next_sequence=1, cookies={}, last_reply_at=1.0
    )
    try:
        async with asyncio.timeout(20):
            for publisher in publishers:  # the second start reads what the first has left
                await publisher.start()
                await publisher.publish([Record(topic, key, b"{}", []) for topic in TOPICS], position)
            await ledger.append([Record("operations.v1", key, b"{}", [])])
            await caught_up.wait()
    finally:
        following.cancel()
        await asyncio.wait([following])
        for publisher in publishers:
            await publisher.stop()
        await ledger.stop()


@asynccontextmanager
async def probing(settings: Kafka) -> AsyncIterator[KafkaProbe]:
    """A probe at work: what it says is what /health/ready says."""
    probe = KafkaProbe(settings, [ACCOUNT])
    running = asyncio.create_task(probe.run())
    try:
        yield probe
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize("delivery", Delivery)
@pytest.mark.parametrize("way", [*MECHANISMS, "mutual TLS"])
async def test_documented_rights_are_enough(site: Site, way: str, delivery: Delivery) -> None:
    """By each mechanism, or a client certificate, the documented rights are all that is needed, and checked for."""
    if way in MECHANISMS:
        settings = site.sasl(way, delivery=delivery)
    else:
        own = site.authority.issue("bridge", password="key-pa55word")
        settings = site.mutual(
            ssl_certfile=own.certificate, ssl_keyfile=own.key, ssl_password="key-pa55word", delivery=delivery
        )
    await publish_everything(settings)
    assert {outcome for outcome, _ in (await findings(settings)).values()} == {Outcome.OK}
    async with probing(settings) as probe:
        await eventually(lambda: probe.reason is None)


async def test_each_missing_right_is_named(site: Site) -> None:
    """A running bridge names a right that it lacks in /health/ready, as `bridge check` does, until it has it again."""
    settings = site.sasl()
    async with running_bridge(settings) as ready:
        assert await ready("") == 200
        for before, right in itertools.pairwise([None, *RIGHTS]):
            assert right is not None
            await site.kafka.revoke("bridge", [right])
            if before is not None:  # only now: a bridge that lacks something asks more often
                await site.kafka.allow("bridge", [before])
            words = f"{right.operation} on {right.resource.replace('_', ' ')} {right.name}"
            outcome, text = (await findings(settings))["topics" if right in TOPIC_RIGHTS else "transactions"]
            assert (outcome, words in text) == (Outcome.FAILED, True), text
            if not right.name.endswith(".check"):
                assert await ready(words) == 503
        await site.kafka.allow("bridge", RIGHTS)
        assert await ready("") == 200


async def test_a_missing_right_on_the_group_is_named(site: Site) -> None:
    """A replica of a fleet names the missing right on the group, as `bridge check` does, until it has it."""
    settings = site.sasl()
    [right] = FLEET_RIGHTS
    words = f"not authorised: read on group {right.name}"
    async with running_bridge(settings, FLEET__ENABLED="true") as ready:
        assert await ready(words) == 503
        outcome, text = (await findings(settings, in_fleet=True))["fleet"]
        assert (outcome, words in text.replace("Not", "not")) == (Outcome.FAILED, True), text
        await site.kafka.allow("bridge", FLEET_RIGHTS)
        assert await ready("") == 200
        assert {outcome for outcome, _ in (await findings(settings, in_fleet=True)).values()} == {Outcome.OK}
        await site.kafka.revoke("bridge", FLEET_RIGHTS)
        assert await ready(words) == 503


async def test_missing_rights_for_requests_are_named(site: Site) -> None:
    """`bridge check` names each right that requests by Kafka lack. With them a bridge joins the group."""
    settings = site.sasl()
    [topic] = [right for right in REQUEST_RIGHTS if right.resource == "topic"]
    [group] = [right for right in REQUEST_RIGHTS if right.resource == "group"]
    outcome, text = (await findings(settings, reads=["requests.v1"]))["topics"]
    assert (outcome, f"read on topic {topic.name}" in text) == (Outcome.FAILED, True), text
    await site.kafka.allow("bridge", [topic])
    outcome, text = (await findings(settings, reads=["requests.v1"]))["requests"]
    assert (outcome, f"read on group {group.name}" in text) == (Outcome.FAILED, True), text
    await site.kafka.allow("bridge", [group])
    assert {one for one, _ in (await findings(settings, reads=["requests.v1"])).values()} == {Outcome.OK}

    async def stay() -> None:
        pass

    async with group_reader(settings, "requests.v1", group.name, stay) as reader:
        await eventually(partial(_assigned, reader))
    await site.kafka.revoke("bridge", REQUEST_RIGHTS)


async def _assigned(reader: GroupReader) -> bool:
    await reader.poll(1)
    return reader.assignments > 0


@asynccontextmanager
async def running_bridge(settings: Kafka, **changes: str) -> AsyncIterator[Any]:
    """`bridge run` before a stand-in; yields what waits until /health/ready holds some words (none: until ready)."""
    given = settings.model_dump(exclude_defaults=True, exclude={"sasl_password"})
    environment = {f"BRIDGE_KAFKA__{name.upper()}": str(value) for name, value in given.items()}
    async with Simulator(username=ACCOUNT) as upstream, aiohttp.ClientSession() as http:
        environment |= {
            "BRIDGE_KAFKA__SASL_PASSWORD": PASSWORD,
            "BRIDGE_WEB_SERVICES__URL": upstream.url,
            "BRIDGE_WEB_SERVICES__USERNAME": ACCOUNT,
            "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
            "BRIDGE_HTTP__PORT": "0",
            **{f"BRIDGE_{name}": value for name, value in changes.items()},
        }
        async with Command("run", environment=environment) as command:
            url = await command.url()

            async def ready(words: str) -> int:
                body = ""
                try:
                    async with asyncio.timeout(20):
                        while True:
                            async with http.get(f"{url}/health/ready") as reply:
                                body = await reply.text()
                                if words in body if words else reply.status == 200:
                                    return reply.status
                            await asyncio.sleep(0.1)
                except TimeoutError:
                    raise AssertionError(f"{words or 'ready'} is not in {body}") from None

            yield ready


async def test_topics_that_may_not_be_created_are_named(site: Site) -> None:
    """Where the bridge is to create its topics, the right to do so is asked for, and is all that it takes more."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    settings = site.sasl(sasl_username="newcomer", topic_prefix=prefix, create_topics=True)
    names = [*topic_names(settings), f"{prefix}.bridge-state"]
    await site.kafka.allow("newcomer", [right._replace(name=right.name.replace("gws", prefix, 1)) for right in RIGHTS])
    async with probing(settings) as probe:
        await eventually(lambda: str(probe.reason).startswith("topics are missing and can't be created"))
        assert all(f"{name} (not authorised)" in str(probe.reason) for name in names)
        outcome, text = (await findings(settings))["topics"]
        assert (outcome, f"{prefix}.bridge-state (not authorised)" in text) == (Outcome.FAILED, True)
        await site.kafka.allow("newcomer", [Right("topic", name, "create") for name in names])
        await publish_everything(settings)
        await eventually(lambda: probe.reason is None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sasl_password": "wrong-pa55word"}, "kafka refuses the user name or password"),
        ({"sasl_mechanism": "PLAIN", "sasl_password": "wrong-pa55word"}, "kafka refuses the user name or password"),
        ({"ssl_cafile": "stranger"}, "certificate comes from an authority that is not trusted here"),
        ({"bootstrap_servers": "localhost"}, "certificate is for another host name"),
        ({"security_protocol": "SASL_PLAINTEXT"}, "is BRIDGE_KAFKA__SECURITY_PROTOCOL what this port speaks?"),
        ({"bootstrap_servers": "PLAINTEXT"}, "is BRIDGE_KAFKA__SECURITY_PROTOCOL what this port speaks?"),
    ],
)
async def test_a_login_that_fails_is_told_in_a_sentence(site: Site, changes: dict[str, str], words: str) -> None:
    """A wrong password, authority, host name or protocol is told as such by probe and check, without the password."""
    values: dict[str, Any] = dict(changes)
    if "ssl_cafile" in values:
        values["ssl_cafile"] = Authority(site.directory, f"stranger-{uuid.uuid4().hex[:8]}").certificate
    if "bootstrap_servers" in values:
        by_name = site.kafka.address("SASL").replace("127.0.0.1", "localhost")
        values["bootstrap_servers"] = site.kafka.bootstrap if values["bootstrap_servers"] == "PLAINTEXT" else by_name
    settings = site.sasl(**values)
    async with probing(settings) as probe:
        await eventually(lambda: words in str(probe.reason))
        assert "pa55word" not in str(probe.reason)
    outcome, text = (await findings(settings))["kafka"]
    assert (outcome, words in text, "pa55word" in text) == (Outcome.FAILED, True, False), text


async def test_a_refused_client_certificate_is_told_until_it_is_renewed(site: Site) -> None:
    """No certificate, a stranger's and an expired one are told apart; a renewed file is used without a restart."""
    async with probing(site.mutual()) as probe:
        await eventually(lambda: "asks for a client certificate, and none is set" in str(probe.reason))
    other = Authority(site.directory, f"other-{uuid.uuid4().hex[:8]}").issue("bridge")
    async with probing(site.mutual(ssl_certfile=other.both)) as probe:
        await eventually(lambda: "refuses the client certificate" in str(probe.reason))
        assert "expired" not in str(probe.reason)
    own = site.authority.issue("bridge", expired=True)
    async with probing(site.mutual(ssl_certfile=own.both)) as probe:
        await eventually(lambda: "refuses the client certificate, which has expired" in str(probe.reason))
        own.both.write_bytes(site.authority.issue("bridge").both.read_bytes())
        await eventually(lambda: probe.reason is None)
