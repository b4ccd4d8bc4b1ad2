"""`bridge run`, `tail`, `dead-letters list` and `simulate` as processes."""

import asyncio
import hashlib
import json
import shlex
import signal
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from bridge.delivery import create_missing_topics
from bridge.events import Record, dead_letter
from bridge.settings import Kafka
from bridge.simulator import Fault, Simulator
from bridge.simulator.broker import EmbeddedBroker
from tests.page import REQUEST
from tests.real.process import free_port
from tests.unit.cli_process import Command, bridge
from tests.waiting import eventually

PASSWORD = "correct-horse-battery"


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Simulator]:
    async with Simulator(users={"agent": PASSWORD}) as simulator:
        yield simulator


@pytest.fixture
def environment(broker: EmbeddedBroker, upstream: Simulator) -> dict[str, str]:
    return {
        "BRIDGE_WEB_SERVICES__URL": upstream.url,
        "BRIDGE_WEB_SERVICES__USERNAME": "agent",
        "BRIDGE_WEB_SERVICES__PASSWORD": PASSWORD,
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
        "BRIDGE_KAFKA__CHECK_CRCS": "false",
        "BRIDGE_KAFKA__REQUEST_TIMEOUT": "5",
        "BRIDGE_HTTP__PORT": "0",
    }


def connected(upstream: Simulator) -> bool:
    return any(session.connected and len(session.subscriptions) == 2 for session in upstream.sessions)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_a_signal_ends_run_and_leaves_the_session(
    environment: dict[str, str], upstream: Simulator, number: signal.Signals, status: int
) -> None:
    """SIGTERM and SIGINT end the bridge in order within 10 s; its CometD session stays for the successor."""
    async with Command("run", environment=environment) as command:
        await eventually(lambda: connected(upstream), within=20)
        command.send(number)
        ended = await command.ended(within=10)
    assert ended.status == status
    assert '"stopped"' in ended.errors.splitlines()[-1]
    assert len(upstream.sessions) == 1
    assert PASSWORD not in ended.errors + ended.output


async def test_the_log_of_a_clean_start_and_stop(environment: dict[str, str], upstream: Simulator) -> None:
    """The first line has the settings that are not at their defaults; no line says that a session was disconnected."""
    given = {"BRIDGE_PRIVACY__PHONE_NUMBERS": "omit", "BRIDGE_KAFKA__PARTITIONS": "6"}
    async with Command("run", environment=environment | given) as command:
        await eventually(lambda: connected(upstream), within=20)
        command.send(signal.SIGTERM)
        ended = await command.ended(within=10)
    lines = [json.loads(line) for line in ended.errors.splitlines()]
    settings = lines[0]["settings"]
    assert settings["privacy.phone_numbers"] == "omit"
    assert (settings["web_services.password"], settings["web_services.username"]) == ("***", "agent")
    assert "kafka.partitions" not in settings
    assert "***" not in {value for name, value in settings.items() if name != "web_services.password"}
    assert not [line for line in lines if line["event"] == "cometd-disconnected"]


async def test_the_settings_as_a_table(environment: dict[str, str]) -> None:
    """At format console the settings have a line each below the first line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        given = {"BRIDGE_HTTP__PORT": port, "BRIDGE_LOG__FORMAT": "console"}
        ended = await bridge("run", environment=environment | given)
    table = dict(line.split(maxsplit=1) for line in ended.errors.splitlines() if line.startswith("  "))
    assert (table["http.port"], table["web_services.password"]) == (port, "***")


@pytest.mark.parametrize(
    ("delay", "status", "told"), [(1.5, 200, {"statusCode": 0}), (8.0, 504, {"code": "upstream-timeout"})]
)
async def test_a_planned_stop_answers_who_waits(
    environment: dict[str, str], upstream: Simulator, delay: float, status: int, told: dict[str, object]
) -> None:
    """An operation under way gets its verdict during a planned stop; one that takes too long gets a problem instead."""
    async with Command("run", environment=environment) as command:
        url = await command.url()
        await eventually(lambda: connected(upstream), within=20)
        upstream.faults.add(Fault("slow", on="rest", times=1, delay=delay))
        records = f"{url}/api/v2/me/outbound-records/13"
        async with aiohttp.ClientSession() as client:
            posting = asyncio.ensure_future(client.post(records, json=REQUEST))
            await eventually(lambda: upstream.faults.struck.get("slow"))
            command.send(signal.SIGTERM)
            async with await posting as reply:
                answer = await reply.json(content_type=None)
        ended = await command.ended(within=10)
    assert (reply.status, answer | told, answer["referenceId"]) == (status, answer, REQUEST["referenceId"])
    assert ended.status == 0
    assert "operation-failed" not in ended.errors


async def test_disconnect_on_exit(environment: dict[str, str], upstream: Simulator) -> None:
    """With --disconnect-on-exit a planned stop ends the CometD session too."""
    async with Command("run", "--disconnect-on-exit", environment=environment) as command:
        await eventually(lambda: connected(upstream), within=20)
        command.send(signal.SIGTERM)
        ended = await command.ended(within=10)
    assert ended.status == 0
    assert not upstream.sessions


async def test_a_taken_port_is_a_setting(environment: dict[str, str]) -> None:
    """Where the HTTP port is taken the start stops with code 2 and names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = await bridge("run", environment={**environment, "BRIDGE_HTTP__PORT": port})
    assert ended.status == 2
    assert ended.errors.splitlines()[-1].startswith("BRIDGE_HTTP__PORT: ")
    assert "Traceback" not in ended.errors


async def test_health_of_a_running_bridge(environment: dict[str, str]) -> None:
    """`bridge health` ends with code 0 while the bridge of the same settings runs, and with 1 and a reason after it."""
    environment = {**environment, "BRIDGE_HTTP__PORT": str(free_port())}
    async with Command("run", environment=environment) as command:
        await command.url()
        alive = await bridge("health", environment=environment)
        assert (alive.status, alive.output, alive.errors) == (0, "live\n", "")
        command.send(signal.SIGTERM)
        await command.ended(within=10)
    over = await bridge("health", environment=environment)
    assert (over.status, over.output) == (1, "")
    assert environment["BRIDGE_HTTP__PORT"] in over.errors


async def test_check_leaves_a_running_bridge_alone(environment: dict[str, str], upstream: Simulator) -> None:
    """`bridge check` beside a running bridge is all right, and the bridge keeps its session and stays ready."""
    async with Command("run", environment=environment) as command:
        url = await command.url()
        await eventually(lambda: connected(upstream), within=20)
        [before] = upstream.sessions
        checked = await bridge("check", environment=environment)
        assert checked.status == 0
        upstream.publish("/me/internal", {"messageType": "Odd"})
        tailed = await bridge(
            "tail", "--from-beginning", "--topic", "unrecognized.v1", "--events", "1", "--json", environment=environment
        )
        assert json.loads(tailed.output)["topic"] == "gws.unrecognized.v1"
        async with aiohttp.ClientSession() as client, client.get(f"{url}/health/ready") as reply:
            assert reply.status == 200
        assert [session.client_id for session in upstream.sessions] == [before.client_id]
        command.send(signal.SIGTERM)
        await command.ended(within=10)


async def test_tail_ends_by_signal(environment: dict[str, str], upstream: Simulator) -> None:
    """`bridge tail` without --events prints what comes, and ends with one line and code 130 at Ctrl-C."""
    async with Command("run", environment=environment):
        await eventually(lambda: connected(upstream), within=20)
        async with Command("tail", "--from-beginning", environment=environment) as tail:
            await eventually(lambda: " sessions " in tail.output, within=20)
            assert "opened" in tail.output
            tail.send(signal.SIGINT)
            ended = await tail.ended(within=10)
    assert (ended.status, ended.errors) == (130, "Interrupted.\n")


@pytest.mark.parametrize("command", [["tail"], ["dead-letters", "list"]])
async def test_reading_without_kafka(environment: dict[str, str], command: list[str]) -> None:
    """Where Kafka is not there, reading ends with code 1 and one line that says so."""
    ended = await bridge(*command, environment={**environment, "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert ended.status == 1
    [line] = ended.errors.splitlines()
    assert "127.0.0.1:1" in line


async def test_dead_letters(environment: dict[str, str], broker: EmbeddedBroker) -> None:
    """Every dead letter is listed with its reason; where there is none that is said."""
    await create_missing_topics(Kafka(bootstrap_servers=broker.bootstrap))
    none = await bridge("dead-letters", "list", environment=environment)
    assert (none.status, none.output) == (0, "No dead letters on gws.dead-letters.v1.\n")
    refused = Record(
        "user-events.v1", b"key", b"{}" * 100, [("ce_id", b"abc-5"), ("ce_source", b"/web-services/agent")]
    )
    letter = dead_letter(refused, "too-large", at=1_700_000_000)
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        for _ in range(3):
            await producer.send_and_wait(
                "gws.dead-letters.v1", letter.value, key=letter.key, headers=list(letter.headers)
            )
    listed = await bridge("dead-letters", "list", "--json", environment=environment)
    assert listed.status == 0
    values = [json.loads(line)["value"] for line in listed.output.splitlines()]
    assert [(value["reason"], value["eventId"], value["size"]) for value in values] == [("too-large", "abc-5", 203)] * 3
    table = await bridge("dead-letters", "list", environment={**environment, "COLUMNS": "200"})
    header, *rows = table.output.splitlines()
    assert header.split() == ["TIME", "(UTC)", "REASON", "TOPIC", "KEY", "SIZE", "SHA256"]
    digest = hashlib.sha256(refused.value).hexdigest()
    assert [row.split()[2:] for row in rows] == [["too-large", "user-events", "key", "203", digest[:8]]] * 3
    wide = await bridge("dead-letters", "list", "--wide", environment=environment)
    assert wide.output.count(digest) == wide.output.count("abc-5") == 3


async def test_simulate() -> None:
    """`bridge simulate` serves the account and the faults that it was given, and ends with code 0 at a signal."""
    arguments = ["--username", "someone", "--password", "else", "--fault", "html-503:rest:1", "--rate", "50"]
    async with Command("simulate", *arguments, environment={}) as command:
        await eventually(lambda: "curl" in command.output and "BRIDGE_WEB_SERVICES__URL=" in command.output)
        url = command.output.partition("BRIDGE_WEB_SERVICES__URL=")[2].split()[0]
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{url}/simulator/faults") as reply:
                assert [fault["name"] for fault in (await reply.json())["armed"]] == ["html-503"]
            headers = {"Authorization": aiohttp.encode_basic_auth("someone", "else")}
            statuses = []
            for _ in range(2):
                async with client.get(f"{url}/api/v2/me", headers=headers) as reply:
                    statuses.append(reply.status)
            assert statuses == [503, 200]
        command.send(signal.SIGTERM)
        ended = await command.ended(within=10)
    assert (ended.status, ended.errors) == (0, "")


async def test_simulate_with_kafka() -> None:
    """`--with-kafka` is all that a rehearsal needs: with the printed variables `bridge check` finds nothing wrong."""
    async with Command("simulate", "--with-kafka", environment={}) as command:
        await eventually(lambda: "CHECK_CRCS=false" in command.output)
        exports = [line.removeprefix("  export ") for line in command.output.splitlines() if "  export " in line]
        given = dict(word.split("=", 1) for line in exports for word in shlex.split(line))
        checked = await bridge("check", environment=given | {"BRIDGE_HTTP__PORT": "0"})
        command.send(signal.SIGTERM)
        ended = await command.ended(within=10)
    findings = checked.findings()
    assert findings.pop("evidence") == "skipped"  # the embedded broker does not say how long it keeps records
    assert (checked.status, set(findings.values())) == (0, {"ok"})
    assert (ended.status, ended.errors) == (0, "")


async def test_simulate_sends_events_of_its_own(environment: dict[str, str]) -> None:
    """With --rate a subscribed bridge gets acknowledgements and user events without any call."""
    async with Command("simulate", "--rate", "50", "--password", PASSWORD, environment={}) as simulator:
        await eventually(lambda: "BRIDGE_WEB_SERVICES__URL=" in simulator.output)
        url = simulator.output.partition("BRIDGE_WEB_SERVICES__URL=")[2].split()[0]
        environment = {**environment, "BRIDGE_WEB_SERVICES__URL": url}
        async with Command("run", environment=environment) as command:
            await command.url()
            topics = ["--topic", "acknowledgements.v1", "--topic", "user-events.v1"]
            ended = await bridge(
                "tail", "--from-beginning", "--json", "--events", "20", *topics, environment=environment
            )
    assert ended.status == 0
    seen = {json.loads(line)["topic"] for line in ended.output.splitlines()}
    assert seen == {"gws.acknowledgements.v1", "gws.user-events.v1"}


async def test_simulate_on_another_address() -> None:
    """`--host` is where the stand-in listens, and nowhere else."""
    async with Command("simulate", "--host", "127.0.0.2", environment={}) as command:
        await eventually(lambda: "BRIDGE_WEB_SERVICES__URL=" in command.output)
        url = command.output.partition("BRIDGE_WEB_SERVICES__URL=")[2].split()[0]
        assert url.startswith("http://127.0.0.2:")
        async with aiohttp.ClientSession() as client, client.get(f"{url}/simulator/sessions") as reply:
            assert reply.status == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5).close()


async def test_simulate_on_a_taken_port() -> None:
    """Where the port is taken the command ends with code 1 and says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = await bridge("simulate", "--port", str(taken.getsockname()[1]), environment={})
    assert ended.status == 1
    assert "--port" in ended.errors
