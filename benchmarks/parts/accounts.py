"""Many accounts beside one, in one process and in a fleet of three replicas.

The rate is that of all accounts together: one session gets one event, the next session the next event.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from benchmarks.candidates.bridge import Bridge
from benchmarks.candidates.candidate import own_topics, started
from benchmarks.measuring.load import burst, latencies
from benchmarks.measuring.results import Quantity, percentile
from benchmarks.measuring.topics import consuming
from benchmarks.measuring.traffic import MIXED, Numbers

if TYPE_CHECKING:
    from benchmarks.parts.bench import Bench, Sizes

RATE: Final = 1_000
"""Events a second."""
WARM_UP: Final = 2_000
"""Events at that rate."""
REPLICAS: Final = 3
SETTLED_DEADLINE: Final = 30.0
"""Seconds; a session that moved while the fleet formed may have left another one, which the server keeps for 10 s."""
P50: Final = Quantity(f"accounts, {RATE:,} events/s in all, p50, ms", 1)
P99: Final = Quantity(f"accounts, {RATE:,} events/s in all, p99, ms", 1)
BUSY: Final = Quantity(f"accounts, {RATE:,} events/s in all, % of a core", 0)
THROUGHPUT: Final = Quantity("accounts, burst, events/s", 0)
START: Final = Quantity("accounts, first start until every session is there, s", 2)
MEMORY: Final = Quantity("accounts, memory after the burst, MB", 0)
IDLE: Final = Quantity("accounts, without events, % of a core", 1)


def candidates(sizes: Sizes) -> tuple[Bridge, Bridge, Bridge]:
    """One account, many accounts in one process, and as many in three processes."""
    many = f"{sizes.accounts} accounts"
    return (
        Bridge("1 account"),
        Bridge(many, accounts=sizes.accounts),
        Bridge(f"{many}, {REPLICAS} replicas", accounts=sizes.accounts, replicas=REPLICAS),
    )


async def accounts(bench: Bench) -> None:
    """Measure all three."""

    async def measure(bridge: Bridge, prefix: str) -> str:
        return await _measure(bench, bridge, prefix)

    await bench.rounds("accounts", candidates(bench.sizes), measure)


async def _measure(bench: Bench, bridge: Bridge, prefix: str) -> str:
    site, sizes, numbers = bench.site, bench.sizes, Numbers()
    async with own_topics(site, prefix), started(bridge, site, prefix) as (running, seconds):
        async with asyncio.timeout(SETTLED_DEADLINE):
            while len(await site.web_services.sessions()) != bridge.accounts:  # noqa: ASYNC110 -- the server tells nobody
                await asyncio.sleep(0.2)
        began, cpu = time.monotonic(), running.cpu()
        await asyncio.sleep(sizes.idle)
        idle = 100 * (running.cpu() - cpu) / (time.monotonic() - began)
        async with consuming(site.kafka.bootstrap, prefix) as reader:
            await latencies(site, reader, MIXED, numbers.take(WARM_UP), rate=RATE, in_turn=True)
            steady = numbers.take(round(RATE * sizes.steady))
            began, cpu = time.monotonic(), running.cpu()
            delays = await latencies(site, reader, MIXED, steady, rate=RATE, in_turn=True)
            busy = 100 * (running.cpu() - cpu) / (time.monotonic() - began)
            whole = await burst(site, running, reader, MIXED, numbers.take(sizes.account_burst), in_turn=True)
        memory = running.memory("VmRSS")
    figures = {
        P50: percentile(delays, 50),
        P99: percentile(delays, 99),
        BUSY: busy,
        THROUGHPUT: whole.events_per_second,
        START: seconds,
        MEMORY: memory,
        IDLE: idle,
    }
    bench.results.note_all(figures, bridge.name)
    return f"{bridge.name}: p99 {figures[P99]:.1f} ms, {whole.events_per_second:,.0f} events/s, start {seconds:.1f} s"
