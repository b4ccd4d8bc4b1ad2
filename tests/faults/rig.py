"""Makes bridges stop at chosen points of their code, and sets their clocks (`tests.faults.rigged_bridge`)."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tests.faults.bridge_process import BridgeProcess
from tests.faults.rigged_bridge import CLOCK, DIRECTORY, Point
from tests.real.process import stopped


class Rig:
    """What the rigged bridges of a scenario have in common."""

    module = "tests.faults.rigged_bridge"
    """The module that changes the bridge, see `Forks`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "rig"
        self._directory.mkdir()

    def environment(self, name: str) -> dict[str, str]:
        """The variables of a process whose clock has this name. The clock is right until `set_clock`."""
        if not self._clock(name).exists():
            self.set_clock(name, 0)
        return {DIRECTORY: str(self._directory), CLOCK: str(self._clock(name))}

    def set_clock(self, name: str, ahead: float) -> None:
        """Make a clock `ahead` seconds fast, or slow if `ahead` is negative. A process that runs sees it jump."""
        fresh = self._clock(name).with_suffix(".new")
        fresh.write_text(str(ahead))
        fresh.rename(self._clock(name))

    def arm(self, point: Point) -> None:
        """Stop the first process that reaches the point from now on. Later ones pass."""
        (self._directory / point).touch()

    async def reached(self, point: Point, processes: Sequence[BridgeProcess], *, within: float = 40) -> BridgeProcess:
        """Wait until one of the processes has stopped at the armed point, and return it."""
        async with asyncio.timeout(within):
            while not (marks := list(self._directory.glob(f"{point}.*"))):  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.005)
        [mark] = marks
        [process] = [one for one in processes if not one.ended and one.pid == int(mark.suffix[1:])]
        if point is not Point.FORWARDING:
            await stopped(process.pid)
        return process

    def release(self, point: Point) -> None:
        """Let the process that waits at `FORWARDING` go on."""
        [mark] = self._directory.glob(f"{point}.*")
        mark.unlink()

    def _clock(self, name: str) -> Path:
        return self._directory / f"clock-{name}"
