"""`bridge mark` as a process, through a running bridge to the simulator and an embedded broker."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.simulator import Fault, Simulator
from bridge.simulator.broker import EmbeddedBroker
from tests.integration.mark_runs import MarkRuns, kill_each, numbers, write
from tests.real.process import free_port
from tests.unit.cli_process import Command
from tests.waiting import eventually

MANY = 2000
KILLS = (150, 500, 900, 1300, 1700)


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Simulator]:
    async with Simulator(max_interval=60) as simulator:  # a busy machine may start the next bridge late
        yield simulator


@pytest.fixture
def environment(broker: EmbeddedBroker, upstream: Simulator) -> dict[str, str]:
    return {
        "BRIDGE_WEB_SERVICES__URL": upstream.url,
        "BRIDGE_WEB_SERVICES__USERNAME": "agent",
        "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
        "BRIDGE_KAFKA__CHECK_CRCS": "false",
        "BRIDGE_HTTP__PORT": str(free_port()),
    }


@pytest.fixture
def url(environment: dict[str, str]) -> str:
    return f"http://127.0.0.1:{environment['BRIDGE_HTTP__PORT']}"


@pytest_asyncio.fixture
async def bridge(environment: dict[str, str], upstream: Simulator) -> AsyncIterator[Command]:
    async with Command("run", environment=environment) as command:
        await connected(upstream)
        yield command


async def connected(upstream: Simulator) -> None:
    await eventually(lambda: any(one.connected and len(one.subscriptions) == 2 for one in upstream.sessions), within=90)


def marked(upstream: Simulator) -> Counter[str]:
    """How often Web Services got each number."""
    return Counter(str(one.body["phoneNumber"]) for one in upstream.operations)


@pytest.mark.usefixtures("bridge")
async def test_kill_in_the_middle_of_a_list(url: str, upstream: Simulator, tmp_path: Path) -> None:
    """Five kill -9 of `bridge mark` in 2,000 numbers: each is marked once, and the results have a line for each."""
    wanted = numbers(MANY)
    runs = MarkRuns(write(tmp_path / "list.txt", wanted), url)
    assert await kill_each(runs, KILLS) == len(KILLS)
    ended = await runs.run()
    assert ended.status == 0, ended.errors
    assert marked(upstream) == dict.fromkeys(wanted, 1)
    rows = runs.rows()
    assert sorted(int(row["row"]) for row in rows) == list(range(1, MANY + 1))
    assert [row["phoneNumber"] for row in sorted(rows, key=lambda row: int(row["row"]))] == wanted
    assert runs.outcomes() == {"acknowledged": MANY}
    assert all(row["referenceId"] == f"list-{row['row']}" and row["acknowledgementId"] for row in rows)
    assert ended.output.startswith(f"{MANY:,} rows: {MANY:,} acknowledged")


@pytest.mark.usefixtures("bridge")
async def test_a_repeated_run_forwards_nothing(url: str, upstream: Simulator, tmp_path: Path) -> None:
    """A second run sends nothing; nor does one whose results file was lost, because the referenceIds are the same."""
    runs = MarkRuns(write(tmp_path / "list.txt", numbers(30)), url)
    assert (await runs.run()).status == 0
    assert (await runs.run()).status == 0
    assert len(runs.rows()) == 30
    runs.results.unlink()
    assert (await runs.run()).status == 0
    assert runs.outcomes() == {"acknowledged": 30}
    assert set(marked(upstream).values()) == {1}


async def test_a_bridge_that_dies_and_comes_back(
    environment: dict[str, str], url: str, upstream: Simulator, tmp_path: Path
) -> None:
    """While the bridge is away the run waits and says so once; afterwards it goes on, and each number is marked."""
    wanted = numbers(400)
    runs = MarkRuns(write(tmp_path / "list.txt", wanted), url, "--rate", "100")
    async with runs.command() as command:
        async with Command("run", environment=environment):
            await eventually(lambda: runs.lines() > 50, within=120)
        await eventually(lambda: "does not answer" in command.errors, within=60)
        async with Command("run", environment=environment):
            ended = await command.ended(within=240)
    assert ended.status == 0, ended.errors
    assert marked(upstream).keys() == set(wanted)
    assert runs.outcomes() == {"acknowledged": 400}
    assert not any(number in ended.errors + ended.output for number in wanted)


async def test_a_bridge_that_stays_away(tmp_path: Path) -> None:
    """After --patience the run gives up with code 1 and says how to go on; the results are empty."""
    runs = MarkRuns(write(tmp_path / "list.txt", numbers(3)), f"http://127.0.0.1:{free_port()}", "--patience", "1")
    ended = await runs.run()
    assert ended.status == 1
    assert "run the same command again" in ended.errors
    assert "Traceback" not in ended.errors
    assert runs.rows() == []


@pytest.mark.usefixtures("bridge")
async def test_web_services_says_no(url: str, upstream: Simulator, tmp_path: Path) -> None:
    """A refusal is in the results with Web Services' own words; only --retry-failed sends the row again."""
    runs = MarkRuns(write(tmp_path / "list.txt", numbers(3)), url, "--concurrency", "1")
    upstream.faults.add(Fault("forbidden-3", on="rest", times=1))
    ended = await runs.run()
    assert (ended.status, runs.outcomes()) == (1, {"rejected": 1, "acknowledged": 2})
    [refused] = [row for row in runs.rows() if row["outcome"] == "rejected"]
    assert refused["reason"] == "status-code-3"
    assert refused["detail"]
    assert (await runs.run()).status == 1
    assert len(upstream.operations) == 3
    assert (await runs.run("--retry-failed")).status == 0
    assert runs.outcomes() == {"acknowledged": 3}
    assert runs.rows()[-1]["referenceId"] == f"{refused['referenceId']}.2"
    assert len(upstream.operations) == 4


async def test_no_acknowledgement(environment: dict[str, str], url: str, upstream: Simulator, tmp_path: Path) -> None:
    """A row whose acknowledgement does not come has timed out; one that came late is found by a next run."""
    runs = MarkRuns(write(tmp_path / "list.txt", numbers(1)), url)
    upstream.faults.add(Fault("acknowledgement-late", on="rest", times=1, delay=6))
    async with Command("run", environment=environment | {"BRIDGE_OPERATIONS__ACKNOWLEDGEMENT_TIMEOUT": "2"}):
        assert (await runs.run()).status == 1
        assert runs.outcomes() == {"timed-out": 1}
        async with asyncio.timeout(60):
            while (await runs.run()).status:
                pass
    assert runs.outcomes() == {"acknowledged": 1}
    assert len(upstream.operations) == 1


@pytest.mark.usefixtures("bridge")
async def test_control_c(url: str, upstream: Simulator, tmp_path: Path) -> None:
    """Ctrl-C ends a run with code 130, and the next one goes on."""
    wanted = numbers(300)
    runs = MarkRuns(write(tmp_path / "list.txt", wanted), url, "--rate", "100")
    ended = await runs.interrupted(50, signal.SIGINT)
    assert ended.status == 130
    assert "run the same command again" in ended.errors
    assert (await runs.run()).status == 0
    assert marked(upstream) == dict.fromkeys(wanted, 1)
