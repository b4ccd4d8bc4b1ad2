"""Runs the `bridge` command as its users do: as a process of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec

from tests.waiting import eventually

COMMAND = (sys.executable, "-m", "bridge")


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    status: int
    output: str
    errors: str

    def findings(self) -> dict[str, str]:
        """The outcome by subject, of `bridge check`."""
        rows = [line.split(maxsplit=1) for line in self.output.splitlines()]
        return {rest[:18].strip(): outcome for outcome, rest in rows}


class Command:
    """A running command, with nothing of this process's own settings; killed at the latest when its block ends."""

    def __init__(self, *arguments: str, environment: Mapping[str, str], program: Sequence[str] = COMMAND) -> None:
        self._program = (*program, *arguments)
        # The readline library of the process that started this one may have set the size of a terminal.
        own = ("BRIDGE_", "COLUMNS", "LINES")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        self._environment = {**inherited, **environment}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: list[asyncio.Task[None]] = []
        self.output = ""
        self.errors = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._program, env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._reading = [
            asyncio.create_task(self._read("output", self._process.stdout)),
            asyncio.create_task(self._read("errors", self._process.stderr)),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await asyncio.gather(self._process.wait(), *self._reading)

    async def _read(self, name: str, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            setattr(self, name, getattr(self, name) + line.decode())

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def over(self) -> bool:
        """Whether the process has ended."""
        return self._process is not None and self._process.returncode is not None

    async def ended(self, *, within: float = 30) -> Ended:
        """Wait for its end; TimeoutError when it still runs after that many seconds."""
        assert self._process is not None
        async with asyncio.timeout(within):
            status = await self._process.wait()
            await asyncio.gather(*self._reading)
        return Ended(status, self.output, self.errors)

    async def url(self) -> str:
        """The address of `bridge run`, as its log tells."""
        await eventually(lambda: '"listening"' in self.errors, within=20)
        lines = [msgspec.json.decode(line, type=dict[str, object]) for line in self.errors.splitlines()]
        return next(str(line["url"]) for line in lines if line["event"] == "listening")


async def bridge(*arguments: str, environment: Mapping[str, str], within: float = 30) -> Ended:
    """Run a command to its end."""
    async with Command(*arguments, environment=environment) as command:
        return await command.ended(within=within)
