"""Ctrl-C ends every command with one line and code 130."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.unit.cli_process import Command
from tests.waiting import eventually


class Silent:
    """A server that accepts connections and never answers."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass
        writer.close()


@pytest_asyncio.fixture
async def silent() -> AsyncIterator[Silent]:
    server = Silent()
    async with await asyncio.start_server(server.accepted, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


@pytest.mark.parametrize(
    "command",
    [["tail"], ["tail", "--no-follow"], ["dead-letters", "list"], ["check"], ["health"], ["mark"]],
    ids=" ".join,
)
async def test_a_command_that_waits_for_a_server(silent: Silent, command: list[str], tmp_path: Path) -> None:
    """A command ends soon, though the server does not answer, and prints nothing but one line."""
    address = f"127.0.0.1:{silent.port}"
    environment = {
        "BRIDGE_WEB_SERVICES__URL": f"http://{address}",
        "BRIDGE_WEB_SERVICES__USERNAME": "agent",
        "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": address,
        "BRIDGE_HTTP__PORT": str(silent.port),
    }
    if command == ["mark"]:
        file = tmp_path / "list.txt"
        file.write_text("3001\n")
        options = ["--application=1", "--campaign=c", "--list=l", "--device=/devices/x", f"--url=http://{address}"]
        command = ["mark", str(file), *options]
    async with Command(*command, environment=environment) as running:
        await eventually(lambda: silent.connections, within=20)
        running.send(signal.SIGINT)
        ended = await running.ended(within=10)
    assert ended.status == 130
    assert ended.errors.splitlines()[-1].startswith(("Interrupted.", "stopped by a signal"))
    assert "Traceback" not in ended.errors
    if command[0] != "mark":
        assert (ended.output, ended.errors) == ("", "Interrupted.\n")


async def test_simulate() -> None:
    """The simulator ends in order."""
    async with Command("simulate", environment={}) as running:
        await eventually(lambda: "curl" in running.output, within=20)
        running.send(signal.SIGINT)
        ended = await running.ended(within=10)
    assert (ended.status, ended.errors) == (130, "Interrupted.\n")


async def test_while_the_command_is_being_imported() -> None:
    """There is no traceback either if Ctrl-C comes before the command line has been read."""
    program = (
        "import sys, signal\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'bridge.cli':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from bridge.__main__ import main\n"
        "main()\n"
    )
    async with Command(environment={}, program=(sys.executable, "-c", program)) as running:
        ended = await running.ended(within=20)
    assert (ended.status, ended.output, ended.errors) == (130, "", "Interrupted.\n")
