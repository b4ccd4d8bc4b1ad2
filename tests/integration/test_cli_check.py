"""`bridge check`, as a process, against the stand-in and the embedded broker."""

import asyncio
import json
import re
import socket
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiokafka.admin import NewTopic

from bridge.events import TOPICS
from bridge.simulator import Fault, Simulator
from bridge.simulator.broker import EmbeddedBroker
from tests.real import KafkaServer, kafka_admin
from tests.unit.cli_process import Ended, bridge

PASSWORD = "pa55word"
WEB_SERVICES = {"web services url", "login", "feature", "csrf", "cometd handshake", "ack extension", "subscriptions"}
START = {"start", "http address"}
KAFKA = {"kafka", "topics", "transactions"}


@dataclass
class Site:
    """A stand-in, and the settings that lead there."""

    upstream: Simulator
    settings: dict[str, str] = field(default_factory=dict)

    async def check(self, *arguments: str, **changed: str) -> Ended:
        changes = {f"BRIDGE_{name}": value for name, value in changed.items()}
        return await bridge("check", *arguments, environment={**self.settings, **changes}, within=40)


@pytest_asyncio.fixture
async def site(shared_broker: EmbeddedBroker, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    async with Simulator(password=PASSWORD, **getattr(request, "param", {})) as upstream:
        yield Site(
            upstream,
            {
                "BRIDGE_WEB_SERVICES__URL": upstream.url,
                "BRIDGE_WEB_SERVICES__USERNAME": "agent",
                "BRIDGE_WEB_SERVICES__PASSWORD": PASSWORD,
                "BRIDGE_WEB_SERVICES__REQUEST_TIMEOUT": "2",
                "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": shared_broker.bootstrap,
                "BRIDGE_KAFKA__REQUEST_TIMEOUT": "2",
                "BRIDGE_KAFKA__CHECK_CRCS": "false",
                "BRIDGE_HTTP__PORT": "0",
            },
        )


def line_of(ended: Ended, subject: str) -> str:
    [line] = [line for line in ended.output.splitlines() if subject in line[:28]]
    return line


async def test_all_is_well(site: Site) -> None:
    """Where everything works each check is ok, the code is 0, and no session is left behind."""
    ended = await site.check()
    # librdkafka's mock cluster does not say how long it keeps records.
    assert ended.findings() == dict.fromkeys(START | WEB_SERVICES | KAFKA, "ok") | {"evidence": "skipped"}
    assert (ended.status, ended.errors) == (0, "")
    assert site.upstream.handshakes == 1
    assert not site.upstream.sessions


async def test_a_replica_of_a_fleet(site: Site) -> None:
    """A replica of a fleet also checks the right on the group, by its name; without Kafka this is skipped."""
    ended = await site.check(FLEET__ENABLED="true", KAFKA__TOPIC_PREFIX="site")
    assert ended.findings() == dict.fromkeys(START | WEB_SERVICES | KAFKA | {"fleet"}, "ok") | {"evidence": "skipped"}
    assert "consumer group site.fleet" in line_of(ended, "fleet")
    ended = await site.check(FLEET__ENABLED="true", KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert (ended.status, ended.findings()["fleet"]) == (1, "skipped")


async def test_wrong_password(site: Site) -> None:
    """A refused password fails the login and is not shown; what needs the login is skipped, Kafka is looked at."""
    ended = await site.check(WEB_SERVICES__PASSWORD="wrong-pa55word")
    assert ended.status == 1
    findings = ended.findings()
    assert findings.pop("login") == "failed"
    assert findings.pop("web services url") == "ok"
    assert {name for name, outcome in findings.items() if outcome == "ok"} == START | KAFKA
    assert {name for name, outcome in findings.items() if outcome == "skipped"} == {"evidence"} | WEB_SERVICES - {
        "login",
        "web services url",
    }
    assert "wrong-pa55word" not in ended.output + ended.errors


async def test_web_services_away(site: Site) -> None:
    """Nobody at the URL fails that check, with the setting to look at."""
    await site.upstream.stop()
    ended = await site.check()
    assert ended.status == 1
    assert ended.findings()["web services url"] == "failed"
    assert "BRIDGE_WEB_SERVICES__URL" in line_of(ended, "web services url")
    assert ended.findings()["kafka"] == "ok"


async def test_kafka_away(site: Site) -> None:
    """No broker at the address fails Kafka with the setting to look at; Web Services is looked at all the same."""
    ended = await site.check(KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert ended.status == 1
    findings = ended.findings()
    assert (findings["kafka"], findings["topics"], findings["transactions"]) == ("failed", "skipped", "skipped")
    assert {findings[name] for name in WEB_SERVICES} == {"ok"}
    assert "BRIDGE_KAFKA__BOOTSTRAP_SERVERS" in line_of(ended, "kafka")


async def test_silent_servers_are_not_waited_for_without_end(site: Site) -> None:
    """Servers that take connections and say nothing fail within the deadlines."""
    held: list[asyncio.StreamWriter] = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        began = time.monotonic()
        ended = await site.check(WEB_SERVICES__URL=f"http://{host}:{port}", KAFKA__BOOTSTRAP_SERVERS=f"{host}:{port}")
        assert time.monotonic() - began < 15
    finally:
        server.close()
        for writer in held:
            writer.close()
    assert ended.status == 1
    assert (ended.findings()["web services url"], ended.findings()["kafka"]) == ("failed", "failed")


async def test_a_hung_broker_is_named_while_the_check_waits(site: Site) -> None:
    """While Kafka says nothing, standard error names Kafka and its address; the findings alone are on the output."""
    with socket.create_server(("127.0.0.1", 0)) as hung:
        place = f"127.0.0.1:{hung.getsockname()[1]}"
        ended = await site.check(KAFKA__BOOTSTRAP_SERVERS=place, KAFKA__REQUEST_TIMEOUT="4")
    assert re.fullmatch(rf"(Checking Kafka at {place} \(\d+ s\)\n)+", ended.errors)
    assert ended.findings()["kafka"] == "failed"


async def test_as_json(site: Site) -> None:
    """With --json there is an object for each finding, and the code is the same."""
    ended = await site.check("--json", KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert ended.status == 1
    rows = [json.loads(line) for line in ended.output.splitlines()]
    assert all(set(row) == {"subject", "outcome", "text", "account"} for row in rows)
    outcomes = {row["subject"]: (row["outcome"], row["account"]) for row in rows}
    assert outcomes["login"] == ("ok", "agent")
    assert outcomes["kafka"] == ("failed", None)


@pytest.mark.parametrize("site", [{"ack_extension": False}], indirect=True)
async def test_no_ack_extension(site: Site) -> None:
    """A server without the extension is a warning that says what it costs, and no failure."""
    ended = await site.check()
    assert ended.status == 0
    assert ended.findings()["ack extension"] == "warning"
    assert "BRIDGE_STATE_DIR" in line_of(ended, "ack extension")


@pytest.mark.parametrize("site", [{"csrf": False}], indirect=True)
async def test_no_csrf_protection(site: Site) -> None:
    """A site without CSRF protection is fine, and said to be one."""
    ended = await site.check()
    assert (ended.status, ended.findings()["csrf"]) == (0, "ok")
    assert "off" in line_of(ended, "csrf")


async def test_a_balancer_that_is_not_sticky(site: Site) -> None:
    """Logins that every other request finds forgotten fail the login, and the text names the balancer."""
    site.upstream.faults.add(Fault("other-node", every=2))
    ended = await site.check()
    assert (ended.status, ended.findings()["login"]) == (1, "failed")
    assert "login-not-kept" in line_of(ended, "login")
    assert "balancer" in line_of(ended, "login")


async def test_refused_subscription(site: Site) -> None:
    """A refused subscription fails, with the server's code; where all refused channels are optional it is a warning."""
    site.upstream.faults.add(Fault("refuse-subscription", "subscribe"))
    ended = await site.check()
    assert (ended.status, ended.findings()["subscriptions"]) == (1, "failed")
    assert "403" in line_of(ended, "subscriptions")
    optional = await site.check(WEB_SERVICES__OPTIONAL_CHANNELS='["/v2/me/*", "/me/internal"]')
    assert (optional.status, optional.findings()["subscriptions"]) == (0, "warning")


async def test_no_cometd(site: Site) -> None:
    """A CometD endpoint that only a balancer answers for fails the handshake, with its HTTP status."""
    site.upstream.faults.add(Fault("html-503", "handshake"))
    ended = await site.check()
    assert (ended.status, ended.findings()["cometd handshake"]) == (1, "failed")
    assert "http-503" in line_of(ended, "cometd handshake")
    assert ended.findings()["ack extension"] == "skipped"


async def test_at_least_once_needs_no_transactions(site: Site) -> None:
    """Without exactly-once no transaction is begun."""
    ended = await site.check(KAFKA__DELIVERY="at-least-once")
    assert (ended.status, ended.findings()["transactions"]) == (0, "ok")
    assert "at-least-once" in line_of(ended, "transactions")


async def test_missing_topics_on_a_real_kafka(site: Site, real_kafka: KafkaServer) -> None:
    """Kafka is asked whether the bridge may create what is missing, and nothing is created; else that is a failure."""
    prefix = f"check-{uuid.uuid4().hex}"
    there = {"KAFKA__BOOTSTRAP_SERVERS": real_kafka.bootstrap, "KAFKA__TOPIC_PREFIX": prefix}
    ended = await site.check(**there)
    assert (ended.status, {ended.findings()[name] for name in KAFKA}) == (0, {"ok"})
    assert f"may create the missing topics: {prefix}.acknowledgements.v1" in line_of(ended, "topics")
    impossible = await site.check(**there, KAFKA__REPLICATION_FACTOR="3")
    assert (impossible.status, impossible.findings()["topics"]) == (1, "failed")
    forbidden = await site.check(**there, KAFKA__CREATE_TOPICS="false")
    assert (forbidden.status, forbidden.findings()["topics"]) == (1, "failed")
    assert f"{prefix}.bridge-state" in line_of(forbidden, "topics")


async def test_topics_with_different_partitions_on_a_real_kafka(site: Site, real_kafka: KafkaServer) -> None:
    """Where acknowledgements and user events have different numbers of partitions, that is a warning with both."""
    prefix = f"check-{uuid.uuid4().hex}"
    async with asyncio.timeout(30), kafka_admin(real_kafka.bootstrap) as admin:
        names = [f"{prefix}.{topic}" for topic in (*TOPICS, "bridge-state")]
        await admin.create_topics(
            NewTopic(
                name,
                3 if "user-events" in name else 2,
                1,
                topic_configs={"cleanup.policy": "compact"} if "bridge-state" in name else {},
            )
            for name in names
        )
    ended = await site.check(KAFKA__BOOTSTRAP_SERVERS=real_kafka.bootstrap, KAFKA__TOPIC_PREFIX=prefix)
    assert (ended.status, ended.findings()["topics"]) == (0, "warning")
    assert "acknowledgements.v1 2, user-events.v1 3" in line_of(ended, "topics")
    assert ended.findings()["evidence"] == "warning"
    assert "Kafka keeps records for 7 days" in line_of(ended, "evidence")
