"""What many accounts cost beside one: delay, throughput, start, memory, and the processor without events.

`python -m benchmarks.accounts`: with the real Kafka and the real CometD server, in about 4 minutes. The rate is that of
all accounts together: one session gets an event, the next session the next one. An unmeasured run of the most
accounts warms the servers up. Then the numbers of accounts take turns, so that all meet the machine in the same state.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from benchmarks.contenders import Site, launch, topic_of
from benchmarks.machine import machine
from benchmarks.sizing import KEYS, Sized, users
from benchmarks.topic import consuming, create_topic
from tests.real import RealKafka, RealWebServices

if TYPE_CHECKING:
    from collections.abc import Sequence

ACCOUNTS: Final = 200
RATE: Final = 1_000
BURST: Final = 60_000
REFERENCES: Final = range(10_000_000, 10_000_000 + BURST)
"""Of the burst's events."""
DEADLINE: Final = 120.0
IDLE: Final = 10.0


@dataclass(frozen=True)
class Row:
    """One run. Times in seconds but for the delays (ms), memory in MB, `idle` in percent of one core."""

    accounts: int
    start: float
    p50: float
    p99: float
    throughput: float
    memory: float
    idle: float
    busy: float
    """The same as `idle`, at the steady rate."""


async def measure(site: Site, accounts: int, prefix: str, seconds: float) -> Row:
    """Run a bridge with so many accounts.

    Raises:
        Incomplete: not every event of the burst arrived once.
    """
    topic, bridge = topic_of(prefix), Sized("exactly-once", accounts)
    await create_topic(site.kafka.bootstrap, topic)
    process = launch(bridge, site, prefix)
    try:
        start = await process.ready(bridge.is_ready, deadline=DEADLINE)
        await asyncio.sleep(3)
        began, cpu = time.monotonic(), process.cpu()
        await asyncio.sleep(IDLE)
        idle = 100 * (process.cpu() - cpu) / (time.monotonic() - began)
        await site.web_services.generate(RATE * 3, keys=KEYS, rate=RATE, in_turn=True)
        async with consuming(site.kafka.bootstrap, topic) as reader:
            starts, count = await reader.ends(), round(RATE * seconds)
            began, cpu = time.monotonic(), process.cpu()
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(reader.latencies(starts, count, deadline=DEADLINE))
                group.create_task(site.web_services.generate(count, keys=KEYS, rate=RATE, in_turn=True))
            busy = 100 * (process.cpu() - cpu) / (time.monotonic() - began)
            delays = [1000 * one for one in reading.result()]
        async with consuming(site.kafka.bootstrap, topic) as reader:
            starts = await reader.ends()
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(reader.watch(starts, BURST, deadline=DEADLINE))
                group.create_task(site.web_services.generate(BURST, keys=KEYS, start=REFERENCES.start, in_turn=True))
            watch = watching.result()
            await reader.verify_each(starts, REFERENCES, 1, deadline=DEADLINE)
            complete = next(at for at, ends in watch.samples if ends == watch.samples[-1][1])
        cuts = statistics.quantiles(delays, n=100, method="inclusive")
        memory = process.memory("VmRSS")
        return Row(accounts, start, cuts[49], cuts[98], BURST / (complete - began), memory, idle, busy)
    finally:
        await process.stop()
        await site.web_services.expire_sessions()


async def run(rounds: int, accounts: Sequence[int], seconds: float) -> list[Row]:
    """Measure each number of accounts in turn, `rounds` times."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bridge-accounts-") as directory:
        async with RealKafka() as kafka:
            web_services = RealWebServices()
            await web_services.start(users=users(max(accounts)))
            async with web_services:
                site = Site(kafka, web_services, Path(directory))
                await measure(site, max(accounts), "accounts-warm-up", seconds)
                for number in range(rounds):
                    for count in accounts:
                        row = await measure(site, count, f"accounts-{number}-{count}", seconds)
                        rows.append(row)
                        print(
                            f"| {row.accounts} | {row.p50:.1f} | {row.p99:.1f} | {row.throughput:,.0f} | "
                            f"{row.start:.1f} | {row.memory:.0f} | {row.idle:.1f} | {row.busy:.1f} |",
                            flush=True,
                        )
    return rows


def ratios(rows: Sequence[Row]) -> str:
    """Tell how the largest number of accounts does beside the smallest: the ratios of the rounds' medians."""
    few, many = min(row.accounts for row in rows), max(row.accounts for row in rows)

    def ratio(name: str) -> float:
        each = [statistics.median(getattr(row, name) for row in rows if row.accounts == one) for one in (many, few)]
        return float(each[0] / each[1])

    names = ("p50", "p99", "start", "throughput", "memory")
    return f"{many} accounts beside {few}: " + ", ".join(f"{name} {ratio(name):.1f}x" for name in names)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accounts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--accounts", type=int, nargs="+", default=[1, ACCOUNTS])
    parser.add_argument("--seconds", type=float, default=10, help="of the steady rate (default: 10)")
    arguments = parser.parse_args()
    print(machine())
    print("| accounts | p50, ms | p99, ms | burst, events/s | start, s | memory, MB | idle, % | at the rate, % |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    rows = uvloop.run(run(arguments.rounds, arguments.accounts, arguments.seconds))
    print(ratios(rows))


if __name__ == "__main__":
    main()
