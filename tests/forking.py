"""Starts `bridge` commands as forks of one process that has imported their modules: imports are most of a start.

`python -m tests.forking FD [RIG]` is that process. The test process sends an `Order` for each command over the socket,
and hears of the start and of the end of each (`News`). A command dies with the process that it was forked from. That
process ends with the test process. Tests of the start itself, of its imports or its memory start `python -m bridge`.
"""

import asyncio
import atexit
import ctypes
import functools
import gc
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

import msgspec

_MESSAGE: Final = 1 << 18
"""Most bytes of an order."""
_DIE_WITH_PARENT: Final = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


class Order(msgspec.Struct, frozen=True):
    """A command to start: its arguments and its whole environment. Its output and errors come as open files with it."""

    arguments: Sequence[str]
    environment: Mapping[str, str]


class News(msgspec.Struct, frozen=True):
    """A process has started, or has ended with that status, which is negative for a signal."""

    pid: int
    status: int | None = None


class ForkedProcess:
    """A command that was forked, like `asyncio.subprocess.Process`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and the news of it is under way
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless the process has ended."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Return the exit status when the process has ended."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def end(self, status: int) -> None:
        """Take note of the end."""
        self.returncode = status
        self._ended.set()


class Forks:
    """The test's side of the process that forks."""

    def __init__(self, rig: str = "") -> None:
        """Start the process. `rig`: a module whose function `rig` imports the bridge, and changes it."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "tests.forking", str(theirs.fileno()), *([rig] if rig else [])],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=Path(__file__).parents[1],
            )
        atexit.register(self._end)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: list[asyncio.Future[ForkedProcess]] = []
        self._running: dict[int, ForkedProcess] = {}

    async def start(self, order: Order, *, output: int, errors: int) -> ForkedProcess:
        """Start a command with these open files as standard output and standard error."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            loop.add_reader(self._socket, self._hear)
            self._loop = loop
        started: asyncio.Future[ForkedProcess] = loop.create_future()
        self._starting.append(started)
        socket.send_fds(self._socket, [msgspec.json.encode(order)], [output, errors])
        return await asyncio.shield(started)

    def _hear(self) -> None:
        message = self._socket.recv(_MESSAGE)
        if not message:
            assert self._loop is not None
            self._loop.remove_reader(self._socket)
            for started in self._starting:
                started.set_exception(ChildProcessError("the process that forks commands has ended"))
            return
        news = msgspec.json.decode(message, type=News)
        if news.status is None:
            process = self._running[news.pid] = ForkedProcess(news.pid)
            self._starting.pop(0).set_result(process)
        else:
            self._running.pop(news.pid).end(news.status)

    def _end(self) -> None:
        self._socket.close()
        self._parent.wait(timeout=10)


@functools.cache
def forks(rig: str = "") -> Forks:
    """The process that commands are forked from, one for each rig. It is started for the first of them."""
    return Forks(rig)


def _serve(orders: socket.socket) -> None:
    """Start the commands that are ordered, until the other side is gone."""
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end of the test process is the end
    signal.set_wakeup_fd(woken)
    while True:
        ready, _, _ = select.select([orders.fileno(), waking], [], [])
        if orders.fileno() in ready:
            message, files, _, _ = socket.recv_fds(orders, _MESSAGE, 2)
            if not message:
                return
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                for number, file in enumerate(files, start=1):
                    os.dup2(file, number)
                for descriptor in (waking, woken, orders.detach(), *files):
                    os.close(descriptor)
                _become_command(msgspec.json.decode(message, type=Order))
                return
            for file in files:
                os.close(file)
            orders.send(msgspec.json.encode(News(pid)))
        if waking in ready:
            os.read(waking, 1 << 12)
            for news in _ended():
                orders.send(msgspec.json.encode(news))


def _ended() -> list[News]:
    ended: list[News] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended.append(News(pid, os.waitstatus_to_exitcode(status)))


def _become_command(order: Order) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(order.environment)
    sys.argv = ["bridge", *order.arguments]
    runpy.run_module("bridge", run_name="__main__", alter_sys=True)  # as `python -m bridge` does


def import_bridge() -> None:
    """Import what the commands import, in the same order."""
    from bridge.unimported import unimported  # noqa: PLC0415 - only this process needs these

    with unimported("rich"):
        import structlog  # noqa: F401, PLC0415
    import bridge.cli  # noqa: F401, PLC0415
    from bridge import commands  # noqa: PLC0415

    for command in commands.__all__:
        getattr(commands, command)


if __name__ == "__main__":
    if sys.argv[2:]:
        import_module(sys.argv[2]).rig()
    else:
        import_bridge()
    gc.freeze()  # what the garbage collector writes to would be copied in each fork
    _serve(socket.socket(fileno=int(sys.argv[1])))
