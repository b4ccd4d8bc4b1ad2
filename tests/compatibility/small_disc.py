"""A disc of a few megabytes, in a mount namespace of its own: no root is needed, and it goes with its process."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.real.process import ServerProcess
from tests.real.server import RealServer

_SCRIPT = 'mount -t tmpfs -o size="$2" small "$1" && echo mounted && exec cat'


class SmallDisc(RealServer):
    """An empty tmpfs. Only processes that run `within` see it at `path`; this one sees it from outside."""

    name = "the small disc"
    prefix = "bridge-disc-"

    def __init__(self, megabytes: int) -> None:
        super().__init__()
        self._size = f"{megabytes}m"

    @property
    def path(self) -> Path:
        """Where it is, inside."""
        return self._place() / "disc"

    @property
    def within(self) -> Sequence[str]:
        """The command that runs a command inside."""
        return ["nsenter", "--target", str(self.pid), "--user", "--mount", "--preserve-credentials"]

    def fill(self) -> None:
        """Leave no byte free."""
        with self._filler.open("wb", buffering=0) as filler, suppress(OSError):  # it is full
            while True:
                filler.write(bytes(1 << 16))
        assert shutil.disk_usage(self._filler).free == 0

    def make_room(self) -> None:
        """Free what `fill` took."""
        self._filler.unlink()

    @property
    def _filler(self) -> Path:
        return Path(f"/proc/{self.pid}/root{self.path}/filler")

    async def _launch(self, directory: Path) -> None:
        (directory / "disc").mkdir()
        script = ["sh", "-c", _SCRIPT, "sh", str(self.path), self._size]
        command = ["unshare", "--user", "--map-root-user", "--mount", *script]
        self._process = ServerProcess(command, log=directory / "output.log", name=self.name)
        await self._process.ready(self._mounted, deadline=10)

    async def _mounted(self) -> bool:
        return "mounted\n" in self._running().output()
