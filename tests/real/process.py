"""One server process of a test: started, killed, paused and ended, and never left behind."""

import asyncio
import atexit
import fcntl
import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

BUILD = Path(__file__).parent / ".build"

# Below the range from which Linux takes the ports of outgoing connections: a client that keeps trying to reach a server
# that is down could otherwise be given that very port, connect to itself, and keep the server from coming back.
_SERVER_PORTS = range(20_000, 30_000)
_OURS: set[int] = set()


class StartFailed(RuntimeError):
    """A process ended early or was not ready in time; the text ends with the last lines of its output."""


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on, and that no outgoing connection will be given.

    Nobody else gets it from this function while this process runs, so that a server that is down keeps its port.
    """
    for port in random.sample(_SERVER_PORTS, 100):
        if _reserved(port) and _bindable(port):
            return port
    raise OSError("no free loopback port among 100 tried")


def _reserved(port: int) -> bool:
    """Reserve the port for this process, by locking the byte of that number in a file that all test processes share."""
    if port in _OURS:
        return False
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    _OURS.add(port)
    return True


@functools.cache
def _reservations() -> int:
    # It stays open to the end of the process: to close it would give the locks back.
    path = Path(tempfile.gettempdir()) / f"bridge-test-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


async def stopped(pid: int) -> None:
    """Wait until a process that was sent SIGSTOP stands still, 30 s at most (TimeoutError).

    A signal is only an entry in the kernel's list until a thread of the process runs and sees it. On a busy machine the
    other threads go on for a while, and a server answers what is sent to it after the call that should have hung it.
    """
    async with asyncio.timeout(30):
        while not _stands_still(pid):  # noqa: ASYNC110 - asyncio has no event for it
            await asyncio.sleep(0.002)


def _stands_still(pid: int) -> bool:
    try:
        states = {stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")}
    except OSError:
        return False  # a thread has ended meanwhile
    return states == {"T"}


def _bindable(port: int) -> bool:
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class ServerProcess:
    """A process whose output goes to a log file.

    It cannot outlive this process: its standard input is a pipe that closes with us, the kernel kills it when we die
    (`setpriv --pdeathsig`, where util-linux has it), and `atexit` kills what is still running.
    """

    def __init__(self, command: Sequence[str], *, log: Path, name: str, within: Sequence[str] = ()) -> None:
        """Start the process. `within`: a command that runs the command that follows it, such as nsenter."""
        self.name = name
        self._log = log
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                [*within, *guard, *command], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            )
        atexit.register(self._end_at_exit)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet; a paused one runs."""
        return self._process.poll() is None

    def output(self) -> str:
        """What this process has written so far."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one to a process that has ended does nothing."""
        self._process.send_signal(number)

    async def ready(self, condition: Callable[[], Awaitable[bool]], *, deadline: float) -> None:
        """Wait until the condition holds, `deadline` seconds at most.

        Raises:
            StartFailed: the process ended, or the time is over.
        """
        end = time.monotonic() + deadline
        while True:
            if not self.running:
                raise StartFailed(f"{self.name} ended with status {self._process.returncode}\n{self._tail()}")
            if await condition():
                return
            if time.monotonic() > end:
                raise StartFailed(f"{self.name} was not ready after {deadline} s\n{self._tail()}")
            await asyncio.sleep(0.02)

    async def finished(self, *, deadline: float) -> int:
        """The exit status, waited for `deadline` seconds at most.

        Raises:
            TimeoutError: it still runs.
        """
        async with asyncio.timeout(deadline):
            while (status := self._process.poll()) is None:  # noqa: ASYNC110 - asyncio knows no Popen
                await asyncio.sleep(0.01)
        return status

    async def pause(self) -> None:
        """Hang it (SIGSTOP): none of its threads runs any more when this returns."""
        self.send(signal.SIGSTOP)
        await stopped(self.pid)

    async def kill(self) -> None:
        """End it with SIGKILL, paused or not."""
        self.send(signal.SIGKILL)
        await self.finished(deadline=10)
        self._release()

    def _tail(self) -> str:
        return "\n".join(self.output().splitlines()[-30:]) or "(it wrote nothing)"

    def _end_at_exit(self) -> None:
        self.send(signal.SIGKILL)
        self._process.wait(timeout=10)
        self._release()

    def _release(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        atexit.unregister(self._end_at_exit)


class JavaProcess(ServerProcess):
    """A JVM."""

    def __init__(self, arguments: Sequence[str], *, log: Path, name: str, within: Sequence[str] = ()) -> None:
        """Start the process. `arguments`: what follows `java` on the command line. `within`: as of ServerProcess."""
        super().__init__(["java", *arguments], log=log, name=name, within=within)
