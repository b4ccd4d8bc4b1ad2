"""A contender as an operating system process: started, measured through /proc, ended."""

from __future__ import annotations

import asyncio
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

ROOT: Final = Path(__file__).parents[1]
STOP_DEADLINE: Final = 15.0
_POLL: Final = 0.01
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class NotReady(RuntimeError):
    """The process ended, or took too long; the text ends with the last lines of its output."""


class MeasuredProcess:
    """One run of a command. The kernel ends it with this process (`setpriv --pdeathsig`, where util-linux has it)."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
        self._started = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*guard, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**inherited, **environment},
            )

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
            raise NotReady(f"the process has ended\n{self._tail()}")
        return int(found[1]) * 1024 / 1e6

    async def ready(self, condition: Callable[[str], Awaitable[bool]], *, deadline: float) -> float:
        """Wait until the condition holds for the output; return the seconds since the start.

        Raises:
            NotReady: it ended, or `deadline` seconds have passed.
        """
        while not await condition(self.output()):
            if self._process.poll() is not None:
                raise NotReady(f"the process ended with status {self._process.returncode}\n{self._tail()}")
            if time.monotonic() - self._started > deadline:
                raise NotReady(f"not ready after {deadline:g} s\n{self._tail()}")
            await asyncio.sleep(_POLL)
        return time.monotonic() - self._started

    async def stop(self) -> None:
        """End it with SIGTERM; with SIGKILL where that takes too long."""
        for number, deadline in ((signal.SIGTERM, STOP_DEADLINE), (signal.SIGKILL, STOP_DEADLINE)):
            self._process.send_signal(number)
            end = time.monotonic() + deadline
            while time.monotonic() < end:
                if self._process.poll() is not None:
                    return
                await asyncio.sleep(_POLL)

    def _tail(self) -> str:
        return "\n".join(self.output().splitlines()[-20:]) or "(it wrote nothing)"
