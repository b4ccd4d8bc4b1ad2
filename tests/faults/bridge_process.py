"""The bridge as an operating system process: started, watched from outside, ended in every way."""

import asyncio
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.forking import ForkedProcess, Order, forks
from tests.real.process import stopped

ROOT = Path(__file__).parents[2]
_REQUEST_TIMEOUT = 5.0
_FIRST_POLL = 0.02
_LONGEST_POLL = 0.2
_PART_OF_THE_WAIT = 0.05
"""Seconds between two questions for each second waited: each question costs the bridge and the test processor time."""
_KIBIBYTE = 1024


@dataclass(frozen=True)
class Exit:
    """How the process ended, and how long that took from the signal on, in seconds."""

    status: int
    seconds: float


class Missing(msgspec.Struct, frozen=True):
    """One thing that keeps the bridge from being ready."""

    name: str
    reason: str


class _Readiness(msgspec.Struct, frozen=True):
    missing: list[Missing] = []


class Session(msgspec.Struct, frozen=True, rename="camel"):
    """One entry of GET /sessions."""

    state: str
    session: str | None = None
    reason: str | None = None
    guarantee: str | None = None
    held_events: int = 0


class BridgeProcess:
    """One run of `bridge run`, set up by environment variables and `options`; its output goes to a file.

    It is a fork (`Forks`), which starts with less work, unless it shall have a Python interpreter of its own.

    It cannot outlive the tests: the kernel kills it when they die (`setpriv --pdeathsig`, where util-linux has it).
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        options: Sequence[str] = (),
        *,
        rig: str = "",
        own_interpreter: bool = False,
    ) -> None:
        """Nothing is started yet. `rig`: as of `Forks`, for a fork only."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
        self._environment = {**inherited, **environment}
        self._rig = rig
        self._own_interpreter = own_interpreter
        self._arguments = ("run", *options)
        self._log = log
        self._process: asyncio.subprocess.Process | ForkedProcess | None = None
        self._url: str | None = None

    async def start(self) -> None:
        """Start the process; returns at once."""
        self._log.write_bytes(b"")
        with self._log.open("ab") as output:
            if not self._own_interpreter:
                order = Order(self._arguments, self._environment)
                log = output.fileno()
                self._process = await forks(self._rig).start(order, output=log, errors=log)
                return
            guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
            self._process = await asyncio.create_subprocess_exec(
                *guard,
                sys.executable,
                "-m",
                "bridge",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env=self._environment,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().pid

    @property
    def ended(self) -> bool:
        """Whether the process is over, or was never started."""
        return self._process is None or self._process.returncode is not None

    # -- its end ------------------------------------------------------------------------------------------------------

    async def kill(self) -> None:
        """End it with SIGKILL: nothing of it runs on when this returns."""
        if not self.ended:
            self._running().send_signal(signal.SIGKILL)
        await self.exited(within=10)

    async def terminate(self, *, within: float = 15) -> Exit:
        """End it with SIGTERM, as a rolling update does.

        Raises:
            TimeoutError: it still runs after `within` seconds.
        """
        began = time.monotonic()
        self._running().send_signal(signal.SIGTERM)
        status = await self.exited(within=within)
        return Exit(status, time.monotonic() - began)

    async def exited(self, *, within: float) -> int:
        """The exit status, waited for `within` seconds at most (TimeoutError)."""
        async with asyncio.timeout(within):
            return await self._running().wait()

    async def suspend(self) -> None:
        """Hang the process (SIGSTOP): nothing of it runs any more when this returns."""
        self._running().send_signal(signal.SIGSTOP)
        await stopped(self._running().pid)

    def resume(self) -> None:
        """Let a hanging process go on."""
        self._running().send_signal(signal.SIGCONT)

    # -- seen from outside --------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], Awaitable[bool]], *, within: float, what: str) -> None:
        """Wait until the condition holds. AssertionError, with the end of the log, when the process ends or it is late.

        A bridge that does not answer yet is waited for.
        """
        began = time.monotonic()
        while True:
            try:
                if await condition():
                    return
            except (aiohttp.ClientError, TimeoutError, LookupError):
                pass  # not listening yet
            if self.ended:
                raise AssertionError(f"the bridge ended, status {await self.exited(within=1)}\n{self._tail()}")
            waited = time.monotonic() - began
            if waited > within:
                raise AssertionError(f"not {what} within {within:g} s\n{self._tail()}")
            await asyncio.sleep(min(max(_FIRST_POLL, _PART_OF_THE_WAIT * waited), _LONGEST_POLL))

    async def ready(self, *, within: float = 30) -> None:
        """Wait until /health/ready says 200."""
        missing: list[Missing] = []

        async def is_ready() -> bool:
            missing[:] = await self.missing()
            return not missing

        try:
            await self.until(is_ready, within=within, what="ready")
        except AssertionError as error:
            error.add_note(f"missing: {missing}")
            raise

    async def without(self, name: str, *, within: float = 30) -> None:
        """Wait until /health/ready says 503 and names what is missing."""

        async def is_missing() -> bool:
            return name in {one.name for one in await self.missing()}

        await self.until(is_missing, within=within, what=f"without {name}")

    async def missing(self) -> list[Missing]:
        """What /health/ready names as missing: nothing with status 200, something with 503."""
        status, body = await self.get("/health/ready")
        missing = msgspec.json.decode(body, type=_Readiness).missing
        assert (status, bool(missing)) in {(200, False), (503, True)}, f"/health/ready: {status} with {missing}"
        return missing

    async def live(self) -> bool:
        """Whether /health/live says 200."""
        return (await self.get("/health/live"))[0] == 200

    async def session(self) -> Session:
        """The account's CometD session as GET /sessions shows it."""
        _, body = await self.get("/sessions")
        [session] = msgspec.json.decode(body, type=list[Session])
        return session

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        _, body = await self.get("/metrics")
        family = re.compile(rf"(?:# \w+ )?{name.removesuffix('_total')}")
        lines = [line for line in body.decode().splitlines(keepends=True) if family.match(line)]
        samples = [
            sample.value
            for family in text_string_to_metric_families("".join(lines))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert samples, f"no metric {name} {labels}"
        return sum(samples)

    async def handshakes(self) -> int:
        """How many CometD handshakes this process has tried."""
        return round(await self.metric("bridge_cometd_handshakes_total"))

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of one GET. LookupError while the bridge does not listen."""
        timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(self.url + path) as response:
            return response.status, await response.read()

    @property
    def url(self) -> str:
        """The base URL of its REST side. LookupError while it does not listen."""
        if self._url is None:
            self._url = str(self.events("listening")[0]["url"])
        return self._url

    def memory(self, field: str) -> int:
        """Bytes, from /proc/PID/status: `VmHWM` is the peak, `VmRSS` the present size in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * _KIBIBYTE

    # -- its output ---------------------------------------------------------------------------------------------------

    def output(self) -> str:
        """All that it has written."""
        return self._log.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, object]]:
        """The log lines of one event, oldest first."""
        lines = (line for line in self.output().splitlines(keepends=True) if line.endswith("\n"))
        read = (msgspec.json.decode(line, type=dict[str, object]) for line in lines if line.startswith("{"))
        return [line for line in read if line.get("event") == name]

    def _tail(self) -> str:
        return "\n".join(self.output().splitlines()[-20:]) or "(it wrote nothing)"

    def _running(self) -> asyncio.subprocess.Process | ForkedProcess:
        if self._process is None:
            raise LookupError("the bridge was never started")
        return self._process
