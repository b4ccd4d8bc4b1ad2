"""`bridge demo`: the whole path in one process, and a fleet of several, as a user starts it."""

import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from bridge.events import schema_files
from tests.unit.cli_process import Command, bridge
from tests.waiting import eventually

EVENTS = 20
HEADERS = {
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_dataschema",
    "content-type",
}
EXAMPLE = "134/Campaign1/13"
RELAYED = {"gws.acknowledgements.v1", "gws.user-events.v1"}


def read(output: str) -> list[dict[str, Any]]:
    """The events of a demo's output, without a line that is not whole yet."""
    return [json.loads(line) for line in output.splitlines(keepends=True) if line.endswith("\n")]


def by_number(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The relayed events of calls without a handle."""
    return [line for line in lines if line["topic"] in RELAYED and line["value"]["recordHandle"] is None]


def shown(lines: list[dict[str, Any]]) -> bool:
    """Whether both events of the example and of a call by number are there; topics are read in any order."""
    example = [line for line in lines if line["topic"] in RELAYED and line["key"] == EXAMPLE]
    return all({line["topic"] for line in some} == RELAYED for some in (example, by_number(lines)))


@pytest.fixture(scope="module")
async def lines() -> list[dict[str, Any]]:
    """The events of one demo that was stopped once it had shown each kind of call."""
    async with Command("demo", "--json", environment={}) as demo:
        await eventually(lambda: shown(read(demo.output)), within=30)
        demo.send(signal.SIGINT)
        ended = await demo.ended()
    assert ended.status == 130, ended.errors
    return read(ended.output)


async def test_a_number_of_events_ends_it() -> None:
    """With --events the demo ends by itself after so many."""
    ended = await bridge("demo", "--events", str(EVENTS), "--json", environment={})
    assert ended.status == 0, ended.errors
    assert len(read(ended.output)) == EVENTS


async def test_standard_output_has_the_events_and_nothing_else(lines: list[dict[str, Any]]) -> None:
    """With --json there is one object a line, with the members of the contract."""
    for line in lines:
        assert line.keys() == {"topic", "partition", "offset", "key", "headers", "value"}
        assert isinstance(line["value"], dict)


async def test_headers_of_the_contract(lines: list[dict[str, Any]]) -> None:
    """Each event has every header, the key as subject; relayed ones have their sequence, and ids are unique."""
    for line in lines:
        headers = line["headers"]
        assert headers.keys() >= HEADERS
        assert all(headers.values())
        assert (headers["ce_specversion"], headers["content-type"]) == ("1.0", "application/json")
        assert headers["ce_source"] == "/web-services/agent"
        assert headers["ce_subject"] == line["key"]
        assert line["topic"].startswith("gws.")
        if line["topic"] in RELAYED:
            assert headers["ce_id"].endswith(f"-{headers['ce_sequence']}")
    ids = [line["headers"]["ce_id"] for line in lines]
    assert len(set(ids)) == len(ids)


async def test_values_fit_their_schemas(lines: list[dict[str, Any]]) -> None:
    """Each value is valid by the schema that its header names."""
    for line in lines:
        schema = json.loads(schema_files()[line["headers"]["ce_dataschema"]])
        jsonschema_rs.validator_for(schema).validate(line["value"])


async def test_the_documentations_example_is_among_them(lines: list[dict[str, Any]]) -> None:
    """The page's own call is acknowledged under its reference, and its user event has the same key and partition."""
    acknowledgements = [line for line in lines if line["topic"] == "gws.acknowledgements.v1"]
    [example] = [line for line in acknowledgements if line["value"]["referenceId"] == "123456789"]
    assert example["key"] == EXAMPLE
    assert example["value"]["operation"] == "DoNotCallRecord"
    [user_event] = [line for line in lines if line["topic"] == "gws.user-events.v1" and line["key"] == example["key"]]
    assert user_event["value"]["phoneNumber"] == "3001"
    assert user_event["partition"] == example["partition"]


async def test_some_records_are_named_by_number(lines: list[dict[str, Any]]) -> None:
    """Calls without a handle are acknowledged under the phone number."""
    assert by_number(lines)
    assert all(line["key"].endswith(f"/{line['value']['phoneNumber']}") for line in by_number(lines))


async def test_a_signal_ends_it() -> None:
    """Without --events the demo goes on until Ctrl-C, and then ends with code 130 and no complaint."""
    program = (sys.executable, "-X", "dev", "-m", "bridge")
    async with Command("demo", environment={}, program=program) as demo:
        await eventually(lambda: demo.output.count(" user-events ") > 3, within=30)
        demo.send(signal.SIGINT)
        ended = await demo.ended(within=12)
    assert ended.status == 130
    # asyncio's debug mode also tells of each step that took long, on a machine that is busy
    assert [line for line in ended.errors.splitlines() if "Executing %s took" not in line] == ["Interrupted."]
    assert "/docs" in ended.output
    assert "/metrics" in ended.output
    assert "curl http://127.0.0.1:" in ended.output


async def test_a_fleet_loses_a_replica() -> None:
    """With --replicas one bridge is killed, another continues its session, and the demo ends with nothing lost.

    The summary compares the events with those that the simulated Web Services has sent.
    """
    ended = await bridge("demo", "--replicas", "3", environment={}, within=150)
    assert ended.status == 0, ended.errors
    [killed] = re.findall(r"(bridge-\d) was killed \(kill -9 \d+\)\. It relayed agent\.", ended.output)
    [(successor, session)] = re.findall(
        r"(bridge-\d) relays agent after [\d.]+ s, in (.+) CometD session", ended.output
    )
    assert (successor != killed, session) == (True, "the same")
    [sent, read_back] = re.findall(r"(\d+) of them are events .* has sent (\d+), so none is missing", ended.output)[0]
    assert sent == read_back
    after = ended.output.partition(f"{successor} relays agent")[2]
    assert re.search(r" acknowledgements +\w+Acknowledge", after)
    assert "opened anew since the start: 0." in ended.output


async def test_a_number_of_events_and_json_of_a_fleet() -> None:
    """With --json and --events so many JSON lines come on standard output; the takeover is told on standard error."""
    ended = await bridge("demo", "--replicas", "2", "--events", str(EVENTS), "--json", environment={}, within=150)
    assert ended.status == 0, ended.errors
    assert len(read(ended.output)) == EVENTS
    assert "was killed (kill -9" in ended.errors
    assert "in the same CometD session" in ended.errors


async def test_a_signal_ends_a_fleet() -> None:
    """Ctrl-C ends the demo and all its bridges, with code 130."""
    async with Command("demo", "--replicas", "2", environment={}) as demo:
        await eventually(lambda: "relays north" in demo.output and len(processes_in(demo.output)) == 2, within=90)
        processes = processes_in(demo.output)
        demo.send(signal.SIGINT)
        ended = await demo.ended(within=25)
    assert ended.status == 130
    assert [one for one in processes if is_running(one)] == []


async def test_a_fleet_does_not_outlive_the_demo() -> None:
    """If the demo itself is killed with SIGKILL, its bridges end."""
    async with Command("demo", "--replicas", "2", environment={}) as demo:
        await eventually(lambda: "relays north" in demo.output and len(processes_in(demo.output)) == 2, within=90)
        processes = processes_in(demo.output)
        demo.send(signal.SIGKILL)
        await eventually(lambda: not any(map(is_running, processes)), within=20)


def processes_in(output: str) -> list[int]:
    """The ids of the bridges that the demo has told of so far; a replica may be told after the first one relays."""
    return [int(number) for number in re.findall(r"process (\d+)", output)]


def is_running(process: int) -> bool:
    """Whether a process with this id exists, and is not a zombie."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


async def test_without_the_embedded_broker() -> None:
    """Where confluent-kafka is not installed, one line says how to install it, and the code is 1."""
    program = "import sys; sys.modules['confluent_kafka'] = None; from bridge.cli import main; main()"
    async with Command("demo", environment={}, program=(sys.executable, "-c", program)) as demo:
        ended = await demo.ended()
    assert ended.status == 1
    [line] = ended.errors.splitlines()
    assert "pip install '.[demo]'" in line
