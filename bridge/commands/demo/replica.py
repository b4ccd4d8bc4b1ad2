"""One replica of the demo's fleet: a separate process that runs `bridge run`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec

from bridge.errors import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
LISTENING: Final = "listening"
TIMEOUT: Final = 5.0
"""Deadline of a request to a replica, in seconds."""
END: Final = 10.0
"""Seconds that a replica may take to end after SIGTERM."""


class Replica:
    """A child process. `environment` has its settings, and `level` is the lowest level of log lines that are shown."""

    def __init__(self, name: str, environment: Mapping[str, str], level: str) -> None:
        self.name = name
        self._environment = environment
        self._level = LEVELS.index(level)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.alive = False
        """Whether the process should be running: from `start` until `kill` or `end`."""
        self.url = ""
        """The base URL of its REST side, after `start`."""

    async def start(self) -> None:
        """Start the process, and wait until its REST side takes requests.

        Raises:
            CommandFailed: the process ended.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge.commands.demo.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**inherited, **self._environment, "BRIDGE_LOG__FORMAT": "json", "BRIDGE_LOG__LEVEL": "info"},
            start_new_session=True,  # Ctrl-C goes to the demo alone, which then ends its replicas
        )
        self.alive = True
        self._reading = asyncio.create_task(self._read())
        self.url = await asyncio.shield(self._listening)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started().pid

    async def watch(self) -> None:
        """Return when `kill` or `end` has ended the process.

        Raises:
            CommandFailed: the process ended by itself.
        """
        status = await self._started().wait()
        if self.alive:
            raise CommandFailed(f"{self.name} (process {self.pid}) ended with exit code {status}")

    async def kill(self) -> None:
        """End the process with SIGKILL, and wait for its end."""
        self.alive = False
        self._started().kill()
        await self._started().wait()

    async def end(self) -> None:
        """End the process with SIGTERM. If the process then runs longer than `END`, use SIGKILL."""
        self.alive = False
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(END):
                    await self._process.wait()
            except TimeoutError:
                await self.kill()
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def get(self, client: aiohttp.ClientSession, path: str) -> Any:
        """Return the decoded reply to a GET, or None if the replica does not answer with HTTP status 200."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        try:
            async with client.get(self.url + path, timeout=timeout) as reply:
                return await reply.json() if reply.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def _read(self) -> None:
        """Read the replica's log: find the replica's URL, and copy lines of a high enough level to standard error."""
        stream = self._started().stderr
        assert stream is not None
        last = ""
        async for raw in stream:
            last = raw.decode(errors="replace").rstrip()
            try:
                line = msgspec.json.decode(last, type=dict[str, Any])
            except msgspec.DecodeError:
                line = {"level": "error"}
            if line.get("event") == LISTENING and not self._listening.done():
                self._listening.set_result(str(line.get("url")))
            level = line.get("level")
            if self.alive and level in LEVELS and LEVELS.index(level) >= self._level:
                sys.stderr.write(f"{self.name}: {last}\n")
        if self.alive and not self._listening.done():
            self._listening.set_exception(CommandFailed(f"{self.name} did not start: {last}"))

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process
