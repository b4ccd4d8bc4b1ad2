"""A real server of the tests: one process with a directory and a port of its own, on loopback."""

import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.real.process import ServerProcess, StartFailed


class RealServer(ABC):
    """Its port, its directory and what it was started with stay over `kill` and `restart`, not over `stop`.

    Entered as a context manager, it is started unless it was before, and stopped at the end.
    """

    name: ClassVar[str]
    """What messages call it; the directory is named after `prefix`."""
    prefix: ClassVar[str]

    def __init__(self) -> None:
        self._port = 0
        self._directory: Path | None = None
        self._process: ServerProcess | None = None

    async def __aenter__(self) -> Self:
        if self._process is None:
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it anew, in a new directory; returns when it serves clients. Where that fails nothing is left behind.

        Raises:
            StartFailed: with the end of its output.
        """
        self._directory = Path(tempfile.mkdtemp(prefix=self.prefix))
        try:
            await self._launch(self._directory)
        except BaseException:
            await self.stop()
            raise

    @abstractmethod
    async def _launch(self, directory: Path) -> None:
        """Start the process, as `_process`, and wait until it serves."""

    @property
    def pid(self) -> int:
        """The process id; another one after each `restart`."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether it was started, and has not ended since."""
        return self._process is not None and self._process.running

    async def kill(self) -> None:
        """End it with SIGKILL."""
        await self._running().kill()

    async def terminate(self) -> None:
        """End it with SIGTERM; returns when it has ended."""
        self._running().send(signal.SIGTERM)
        await self.ended()

    async def ended(self) -> None:
        """Wait until it has ended by itself, a minute at most (TimeoutError)."""
        await self._running().finished(deadline=60)
        await self._running().kill()

    async def restart(self) -> None:
        """Start it again, as it was; one that still runs is killed first."""
        process = self._running()
        if process.running:
            await process.kill()
        await self._launch(self._place())

    async def pause(self) -> None:
        """Hang it (SIGSTOP): connections stay open, and nothing is answered."""
        await self._running().pause()

    async def resume(self) -> None:
        """Let it go on."""
        self._running().send(signal.SIGCONT)

    async def stop(self) -> None:
        """End it and remove its directory. Calling it again does nothing."""
        if self._process is not None:
            # Nothing reads its data again, so an orderly end would only cost time.
            await self._process.kill()
            self._process = None
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None

    def _place(self) -> Path:
        if self._directory is None:
            raise StartFailed(f"{self.name} has no directory: start() comes first")
        return self._directory

    def _running(self) -> ServerProcess:
        if self._process is None:
            raise StartFailed(f"{self.name} is not started")
        return self._process
