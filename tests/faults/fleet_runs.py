"""A fleet through every end of a replica, again and again: `python -m tests.faults.fleet_runs --runs 20`.

On the real parts: three replicas, 30 accounts, 500 events/s, maxInterval 10 s. In each run one replica is killed
(SIGKILL), one is stopped (SIGTERM), and one hangs for 20 s (SIGSTOP). Each one comes back, and the shares must be even
each time. At the end no event may be missing or twice, and no session may have been opened anew.

`--accounts 1000 --kill-only`: one of three replicas is killed and stays away, and every session must live on.
The exit status is 1 if anything is wrong.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.fleet.many_accounts import ManyAccounts
from tests.faults.site import EXIT_LIMIT, PASSWORD, Site
from tests.real import RealKafka, RealWebServices, real_parts

REPLICAS = 3
BURST = 5
"""Events of an account at a time."""
HANGS = 20.0
"""Seconds: longer than Kafka waits for a replica."""
RECOVERY = 60.0
"""Seconds within which all must be well again."""
PER_ACCOUNT = 0.2
"""Seconds more for each account, until all is well after the start. Also the time to read its events at the end."""
console = Console(highlight=False)


@dataclass
class Result:
    """One run."""

    times: dict[str, float] = field(default_factory=dict)
    """Seconds until all was well again, by what was done."""
    events: int = 0
    missing: int = 0
    twice: int = 0
    gaps: int = 0
    handshakes: int = 0
    """Handshakes after the start."""
    new_sessions: int = 0
    wrong: str | None = None
    """What was not as it must be, None if all was."""

    @property
    def right(self) -> bool:
        """Whether nothing was wrong."""
        return self.wrong is None and not (
            self.missing or self.twice or self.gaps or self.handshakes or self.new_sessions
        )

    def __str__(self) -> str:
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.times.items())
        numbers = (
            f"{self.events} events, {self.missing} missing, {self.twice} twice, {self.gaps} gaps, "
            f"{self.handshakes} handshakes, {self.new_sessions} new sessions"
        )
        return f"{times}: {numbers}{'' if self.wrong is None else f'; WRONG: {self.wrong}'}"


class Run:
    """One run on a site of its own."""

    def __init__(self, site: Site, accounts: Sequence[str]) -> None:
        self._site = site
        self._fleet = ManyAccounts(site, accounts)
        self._limit = RECOVERY + PER_ACCOUNT * len(accounts)
        self._shaken: list[int] = []
        """The handshakes of each replica at the end of the start. A replica that is started again has made none."""
        self.result = Result()

    async def do(self, rate: float, *, kill_only: bool) -> Result:
        """Do what the module's docstring says."""
        opened: set[str] = set()
        try:
            async with self._measured("start"):
                await self._fleet.start(REPLICAS, within=self._limit)
            opened = await self._sessions()
            self._shaken = [await one.handshakes() for one in self._fleet.replicas]
            async with self._fleet.load(rate, BURST):
                await self._kill(again=not kill_only)
                if not kill_only:
                    await self._terminate()
                    await self._suspend()
            await self._note_sessions(opened)
            await self._site.settled(within=self._limit)
        except (AssertionError, TimeoutError) as error:
            self.result.wrong = str(error).split("\n", 1)[0] or type(error).__name__
        await self._note_events()
        return self.result

    async def _kill(self, *, again: bool) -> None:
        await self._fleet.replicas[0].kill()
        await self._well_without(0, "SIGKILL")
        if again:
            await self._again(0)

    async def _terminate(self) -> None:
        exit_ = await self._fleet.replicas[1].terminate()
        assert exit_.status == 0, f"exit status {exit_.status} after SIGTERM"
        assert exit_.seconds < EXIT_LIMIT, f"{exit_.seconds:.1f} s for a planned stop"
        await self._well_without(1, "SIGTERM")
        await self._again(1)

    async def _suspend(self) -> None:
        replica = self._fleet.replicas[2]
        await replica.suspend()
        try:
            await asyncio.gather(self._well_without(2, "SIGSTOP"), asyncio.sleep(HANGS))
        finally:
            replica.resume()
        async with self._measured("SIGCONT"):
            await self._fleet.well(within=self._limit)

    async def _again(self, number: int) -> None:
        async with self._measured("back"):
            await self._fleet.start_again(number)
            self._shaken[number] = 0
            await self._fleet.well(within=self._limit)

    async def _well_without(self, number: int, name: str) -> None:
        async with self._measured(name):
            await self._fleet.well(within=self._limit, without=[self._fleet.replicas[number]])

    @asynccontextmanager
    async def _measured(self, name: str) -> AsyncIterator[None]:
        began = time.monotonic()
        yield
        self.result.times[name] = max(self.result.times.get(name, 0.0), time.monotonic() - began)

    async def _sessions(self) -> set[str]:
        """Wait until the server has one session for each account: those of earlier runs expire."""
        deadline = time.monotonic() + self._limit
        while len(found := await self._site.client_ids()) != len(self._fleet.accounts):
            assert time.monotonic() < deadline, f"{len(found)} sessions for {len(self._fleet.accounts)} accounts"
            await asyncio.sleep(0.5)
        return found

    async def _note_sessions(self, opened: set[str]) -> None:
        living = [
            (one, before) for one, before in zip(self._fleet.replicas, self._shaken, strict=True) if not one.ended
        ]
        self.result.handshakes = sum([await one.handshakes() - before for one, before in living])
        self.result.new_sessions = len(await self._site.client_ids() - opened)

    async def _note_events(self) -> None:
        account = await self._site.ledger.account()
        self.result.events = self._site.ledger.taken
        self.result.missing = len(account.missing) + len(account.lost)
        self.result.twice = len(account.doubled_ids) + len(account.doubled_contents)
        self.result.gaps = len(account.gaps)


async def run_all(runs: int, accounts: int, rate: float, max_interval: float, *, kill_only: bool) -> list[Result]:
    """Do the runs one after the other, with the same servers, and print a line for each."""
    names = [f"agent-{number}" for number in range(accounts)]
    results: list[Result] = []
    web = RealWebServices()
    await web.start(users=dict.fromkeys(names, PASSWORD), max_interval=max_interval)
    async with web, RealKafka() as kafka:
        for number in range(runs):
            with tempfile.TemporaryDirectory(prefix="bridge-fleet-") as directory:
                async with Site(kafka, web, Path(directory)) as site:
                    result = await Run(site, names).do(rate, kill_only=kill_only)
            results.append(result)
            console.print(f"{number + 1:3} {result}", markup=False, soft_wrap=True)
    return results


def report(results: Sequence[Result]) -> None:
    """Print the totals."""
    times = Table("until all was well", "runs", "min, s", "median, s", "max, s")
    for name in dict.fromkeys(name for one in results for name in one.times):
        seconds = [one.times[name] for one in results if name in one.times]
        figures = (min(seconds), statistics.median(seconds), max(seconds))
        times.add_row(name, str(len(seconds)), *(f"{figure:.1f}" for figure in figures))
    console.print(times)
    totals = Table("all runs", "number")
    totals.add_row("runs", str(len(results)))
    totals.add_row("runs without a fault", str(sum(one.right for one in results)))
    for name in ("events", "missing", "twice", "gaps", "handshakes", "new_sessions"):
        totals.add_row(name.replace("_", " "), str(sum(getattr(one, name) for one in results)))
    console.print(totals)


def main() -> None:
    """Read the command line, run, and exit with 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--accounts", type=int, default=30)
    parser.add_argument("--rate", type=float, default=500.0, help="events/s of all accounts together")
    parser.add_argument("--max-interval", type=float, default=10.0, help="of the CometD server, in seconds")
    parser.add_argument("--kill-only", action="store_true", help="kill one replica, which does not come back")
    arguments = parser.parse_args()
    missing = real_parts()
    if missing is not None:
        sys.exit(missing)
    results = asyncio.run(
        run_all(
            arguments.runs,
            arguments.accounts,
            arguments.rate,
            arguments.max_interval,
            kill_only=arguments.kill_only,
        )
    )
    report(results)
    sys.exit(0 if all(one.right for one in results) else 1)


if __name__ == "__main__":
    main()
