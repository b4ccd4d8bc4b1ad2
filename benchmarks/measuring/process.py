"""A candidate as operating system processes: started, measured through /proc, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
STOP_DEADLINE: Final = 15.0
_POLL: Final = 0.02
"""Seconds; each question whether a candidate is ready costs it processor time."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class NotReady(RuntimeError):
    """The process ended, or took too long."""


class MeasuredProcess:
    """One run of a command. The kernel ends it with this process (`setpriv --pdeathsig`, where util-linux has it)."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*guard, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**inherited, **environment},
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def output(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def cpu(self) -> float:
        """Seconds of processor time that it has used, user and system, all threads (`man 5 proc`: utime, stime)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self, field: Literal["VmRSS", "VmHWM"]) -> float:
        """Resident memory in MB (10^6 bytes): now (VmRSS) or at its peak (VmHWM)."""
        found = re.search(
            rf"^{field}:\s+(\d+) kB$", Path(f"/proc/{self._process.pid}/status").read_text(), re.MULTILINE
        )
        if found is None:
            raise NotReady("the process has ended")
        return int(found[1]) * 1024 / 1e6

    def check_runs(self) -> None:
        """Raise NotReady if the process has ended."""
        if self._process.poll() is not None:
            raise NotReady(f"the process ended with status {self._process.returncode}")

    @property
    def ended(self) -> bool:
        """Whether the process is over."""
        return self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one to a process that has ended does nothing."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL, and wait for its end. Calling it for an ended process does nothing."""
        self._process.kill()
        self._process.wait()

    def tail(self) -> str:
        """The last lines of its output."""
        return "\n".join(self.output().splitlines()[-20:]) or "(it wrote nothing)"


class Running:
    """The processes of one candidate, measured together."""

    def __init__(self, processes: Sequence[MeasuredProcess]) -> None:
        self._processes = processes
        self._started = time.monotonic()

    def outputs(self) -> list[str]:
        """What each process has written so far."""
        return [process.output() for process in self._processes]

    def pids(self) -> list[int]:
        """The process id of each process."""
        return [process.pid for process in self._processes]

    def cpu(self) -> float:
        """Seconds of processor time that they have used, user and system."""
        return sum(process.cpu() for process in self._processes)

    def memory(self, field: Literal["VmRSS", "VmHWM"]) -> float:
        """Resident memory of all in MB: now (VmRSS), or the sum of their peaks (VmHWM)."""
        return sum(process.memory(field) for process in self._processes)

    async def ready(self, condition: Callable[[Sequence[str]], Awaitable[bool]], *, deadline: float) -> float:
        """Wait until the condition holds for the outputs; return the seconds since the start.

        Raises:
            NotReady: a process ended, or `deadline` seconds have passed.
        """
        while not await condition(self.outputs()):
            for process in self._processes:
                process.check_runs()
            if time.monotonic() - self._started > deadline:
                raise NotReady(f"not ready after {deadline:g} s")
            await asyncio.sleep(_POLL)
        return time.monotonic() - self._started

    async def stop(self) -> None:
        """End them with SIGTERM; with SIGKILL where that takes too long."""
        for process in self._processes:
            process.send(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_DEADLINE):
                while not all(process.ended for process in self._processes):  # noqa: ASYNC110 -- Popen tells nobody
                    await asyncio.sleep(_POLL)
        self.kill()

    def kill(self) -> None:
        """End them with SIGKILL. Processes that have ended are left alone."""
        for process in self._processes:
            process.kill()

    def tails(self) -> list[str]:
        """The last lines of the output of each process."""
        return [process.tail() for process in self._processes]
