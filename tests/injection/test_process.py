"""How the process ends when the bridge itself is at fault: one line for people, one for the log, exit code 1."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from bridge.simulator import Simulator
from tests.unit.cli_process import Command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.simulator.broker import EmbeddedBroker

PASSWORD = "correct-horse-battery"
PRIVATE = "+15550100123"
FAULTS = {
    "in a relay": (
        f"from bridge.relay import Relay\nasync def fail(*_): raise KeyError('{PRIVATE}')\nRelay.received = fail"
    ),
    "in two tasks at once": (
        "import asyncio\nfrom bridge.delivery import KafkaProbe\nfrom bridge.operations import OperationsService\n"
        f"async def fail(*_): await asyncio.sleep(0.2); raise LookupError('{PRIVATE}')\n"
        "KafkaProbe.run = OperationsService.run = fail"
    ),
    "by a foreign cancellation": (
        "import asyncio\nfrom bridge.app import Bridge\nasync def fail(*_, **__): raise asyncio.CancelledError('x')\n"
        "Bridge.run = fail"
    ),
    "for want of memory": (
        f"from bridge.relay import Relay\nasync def fail(*_): raise MemoryError('{PRIVATE}')\nRelay.begin = fail"
    ),
}


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Simulator]:
    async with Simulator(users={"agent": PASSWORD}) as simulator:
        yield simulator


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_bridge_ends_it_with_one_clear_line(
    shared_broker: EmbeddedBroker, upstream: Simulator, fault: str
) -> None:
    """An unexpected error ends the process with code 1 and one line that names it and its place, and no traceback."""
    environment = {
        "BRIDGE_WEB_SERVICES__URL": upstream.url,
        "BRIDGE_WEB_SERVICES__USERNAME": "agent",
        "BRIDGE_WEB_SERVICES__PASSWORD": PASSWORD,
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": shared_broker.bootstrap,
        "BRIDGE_KAFKA__CHECK_CRCS": "false",
        "BRIDGE_HTTP__PORT": "0",
    }
    program = (sys.executable, "-c", f"{FAULTS[fault]}\nfrom bridge.cli import main\nmain()")
    async with Command("run", environment=environment, program=program) as command:
        ended = await command.ended(within=60)
    assert ended.status == 1
    assert "Traceback" not in ended.errors
    assert "Exception Group" not in ended.errors
    assert PRIVATE not in ended.errors
    *log, line = ended.errors.splitlines()
    assert line.startswith("the bridge ended with ")
    assert "fail (<string>:" in line
    [failed] = [one for one in map(json.loads, log) if one["event"] == "failed"]
    assert failed["at"]
    assert failed["level"] == "critical"
