"""`bridge mark` between a real Kafka and a real CometD server, while it and the bridge are killed."""

import os
import time

import pytest

from tests.faults.bridge_process import BridgeProcess
from tests.faults.operations import ledger
from tests.faults.site import Site
from tests.integration.mark_runs import MarkRuns, numbers, write
from tests.real.process import free_port
from tests.unit.cli_process import Command
from tests.waiting import eventually

ROWS = int(os.environ.get("MARK_ROWS", "2000"))
"""Rows of the list."""
RECORDS = "/api/v2/me/outbound-records"
MARK_KILLS = 5
BRIDGE_KILLS = 3


@pytest.mark.parametrize("web", [{"max_interval": 60}], indirect=True)  # a busy machine may start a bridge late
async def test_kills_of_the_command_and_of_the_bridge(site: Site) -> None:
    """Five kill -9 of the command and three of the bridge: each number is marked; twice only as the ledger says."""
    wanted = numbers(ROWS)
    port = str(free_port())
    runs = MarkRuns(write(site.directory / "list.txt", wanted), f"http://127.0.0.1:{port}", "--concurrency", "128")
    bridge = await site.ready_bridge(HTTP__PORT=port)
    began = time.monotonic()
    for kill in range(MARK_KILLS):
        async with runs.command() as command:
            await _more_than(runs, command, ROWS * (kill + 1) // 8)
            if kill % 2 == 0:
                bridge = await _replaced(site, bridge, port)
                await _more_than(runs, command, runs.lines())
    ended = await runs.run(within=900)
    seconds = time.monotonic() - began
    outcomes = runs.outcomes()
    assert ended.status == 0, (outcomes, ended.errors[-2000:])
    assert outcomes == {"acknowledged": ROWS}
    rows = {int(row["row"]): row["phoneNumber"] for row in runs.rows()}
    assert [rows[row] for row in sorted(rows)] == wanted
    times: dict[str, int] = dict.fromkeys(wanted, 0)
    references: dict[str, str] = {}
    for one in await site.web.operations():
        if RECORDS in one.path:
            number = str(one.body["phoneNumber"])
            times[number] += 1
            references[number] = str(one.body["referenceId"])
    assert min(times.values()) == 1
    told = await ledger(site)
    attempts = {number: max(event.attempt for event in told[references[number]]) for number in wanted}
    twice = [number for number in wanted if times[number] > 1]
    assert all(times[number] <= attempts[number] <= BRIDGE_KILLS + 1 for number in wanted)
    print(f"{ROWS} rows, {seconds:.0f} s, forwarded twice: {len(twice)}")  # noqa: T201 -- the figures


async def _replaced(site: Site, bridge: BridgeProcess, port: str) -> BridgeProcess:
    """Kill the bridge, and start its successor on the same port."""
    await bridge.kill()
    return await site.ready_bridge(HTTP__PORT=port)


async def _more_than(runs: MarkRuns, command: Command, lines: int) -> None:
    """Wait until the results have more lines."""
    await eventually(lambda: runs.lines() > lines or command.over, within=300)
    assert not command.over, command.errors
