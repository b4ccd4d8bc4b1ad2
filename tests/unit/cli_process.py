"""Runs the `bridge` command as its users do: as a process of its own. It is a fork (`tests.forking`)."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec

from tests.forking import ForkedProcess, Order, forks
from tests.waiting import eventually


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
    """A running command, with nothing of this process's own settings; killed at the latest when its block ends.

    With `program`, that program runs with these arguments in place of `bridge`.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str], program: Sequence[str] = ()) -> None:
        self._program = program
        self._arguments = arguments
        # The readline library of the process that started this one may have set the size of a terminal.
        own = ("BRIDGE_", "COLUMNS", "LINES")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        self._environment = {**inherited, **environment}
        self._process: asyncio.subprocess.Process | ForkedProcess | None = None
        self._reading: list[asyncio.Task[None]] = []
        self.output = ""
        self.errors = ""

    async def __aenter__(self) -> Self:
        output, output_end = os.pipe()
        errors, errors_end = os.pipe()
        try:
            self._process = await self._start(output_end, errors_end)
        finally:
            os.close(output_end)
            os.close(errors_end)
            self._reading = [
                asyncio.create_task(self._read("output", output)),
                asyncio.create_task(self._read("errors", errors)),
            ]
        return self

    async def _start(self, output: int, errors: int) -> asyncio.subprocess.Process | ForkedProcess:
        if not self._program:
            return await forks().start(Order(self._arguments, self._environment), output=output, errors=errors)
        return await asyncio.create_subprocess_exec(
            *self._program, *self._arguments, env=self._environment, stdout=output, stderr=errors
        )

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await asyncio.gather(self._process.wait(), *self._reading)

    async def _read(self, name: str, pipe: int) -> None:
        stream = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        with os.fdopen(pipe, "rb") as file:
            transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), file)
            async for line in stream:
                setattr(self, name, getattr(self, name) + line.decode())
            transport.close()

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
