"""From the start of a process until events flow: a restart with everything there, and one with a long ledger."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.candidates.bridge import EXACTLY_ONCE
from benchmarks.candidates.candidate import own_topics, started
from benchmarks.candidates.java import JAVA, JAVA_TRANSACTIONS
from benchmarks.measuring.ledger import write_operations
from benchmarks.measuring.load import burst
from benchmarks.measuring.results import Quantity
from benchmarks.measuring.topics import consuming
from benchmarks.measuring.traffic import MIXED

if TYPE_CHECKING:
    from benchmarks.candidates.candidate import Candidate
    from benchmarks.measuring.site import Site
    from benchmarks.parts.bench import Bench, Sizes

RESTART: Final = Quantity("restart until ready, s", 2)
EVENTS: Final = 1_000
"""Relayed before the restarts, so that there is a position to go on from."""


@dataclass(frozen=True)
class Restart:
    """A candidate with topics of its own, and how many operations are on its ledger."""

    candidate: Candidate
    operations: int = 0

    @property
    def name(self) -> str:
        """As the tables call it."""
        return f"{self.candidate.name}, {self.operations:,} operations" if self.operations else self.candidate.name

    @property
    def prefix(self) -> str:
        """That of its topics, which stay there for all rounds."""
        return f"start-{self.name.replace(', ', '-').replace(' ', '-').replace(',', '')}"

    async def prepare(self, site: Site) -> None:
        """Let it relay some events, and fill its ledger."""
        async with (
            started(self.candidate, site, self.prefix) as (running, _),
            consuming(site.kafka.bootstrap, self.prefix) as reader,
        ):
            await burst(site, running, reader, MIXED, range(EVENTS))
            if self.operations:
                await write_operations(site, self.prefix, self.operations)
        await site.web_services.expire_sessions()  # or it would get the next one's events, too


def long_ledger(sizes: Sizes) -> Restart:
    """The restart with operations on the ledger."""
    return Restart(EXACTLY_ONCE, sizes.operations)


async def start(bench: Bench) -> None:
    """Measure the restarts. Each one comes right after another start, which has left its CometD session."""
    site = bench.site
    restarts = [Restart(EXACTLY_ONCE), long_ledger(bench.sizes), Restart(JAVA), Restart(JAVA_TRANSACTIONS)]

    async def measure(restart: Restart, _: str) -> str:
        async with started(restart.candidate, site, restart.prefix):
            pass
        async with started(restart.candidate, site, restart.prefix) as (_running, seconds):
            bench.results.note(RESTART, restart.name, seconds)
        return f"{restart.name}: ready after {seconds:.2f} s"

    async with AsyncExitStack() as topics:
        for restart in restarts:
            await topics.enter_async_context(own_topics(site, restart.prefix))
            await restart.prepare(site)
        await bench.rounds("start", restarts, measure)
