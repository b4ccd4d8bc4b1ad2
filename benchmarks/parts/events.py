"""The main part: throughput, processor, memory and latency of all candidates."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from benchmarks.candidates.bridge import AT_LEAST_ONCE, EXACTLY_ONCE
from benchmarks.candidates.candidate import own_topics, started
from benchmarks.candidates.java import JAVA, JAVA_TRANSACTIONS, JAVA_TUNED
from benchmarks.measuring.load import burst, latencies
from benchmarks.measuring.results import Quantity, percentile
from benchmarks.measuring.topics import consuming
from benchmarks.measuring.traffic import MIXED, UNIFORM, Numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.candidates.candidate import Candidate
    from benchmarks.measuring.traffic import Traffic
    from benchmarks.parts.bench import Bench

CANDIDATES: Final[Sequence[Candidate]] = (EXACTLY_ONCE, AT_LEAST_ONCE, JAVA, JAVA_TUNED, JAVA_TRANSACTIONS)
WITHOUT_LATENCY: Final = {JAVA_TUNED.name}
"""Tuned for throughput: its latency says nothing."""
LATENCY_RATE: Final = 200.0
"""Single events a second."""
REST: Final = 1.5
"""Seconds without events before the memory at rest is read."""


def throughput(traffic: Traffic) -> Quantity:
    """Events a second in a burst."""
    return Quantity(f"{traffic.name}, events/s", 0)


def cpu(traffic: Traffic) -> Quantity:
    """Processor time for an event of a burst."""
    return Quantity(f"{traffic.name}, µs of CPU an event", 1)


SENDING: Final = Quantity(f"{MIXED.name}, % of the time the server sends", 0)
PEAK: Final = Quantity(f"{MIXED.name}, peak memory, MB", 0)
AT_REST: Final = Quantity("memory at rest, MB", 0)
P50: Final = Quantity(f"latency at {LATENCY_RATE:.0f} single events/s, p50, ms", 1)
P99: Final = Quantity(f"latency at {LATENCY_RATE:.0f} single events/s, p99, ms", 1)


async def events(bench: Bench) -> None:
    """Measure all candidates."""

    async def measure(candidate: Candidate, prefix: str) -> str:
        return await _measure(bench, candidate, prefix)

    await bench.rounds("events", CANDIDATES, measure)


async def warm_up(bench: Bench) -> None:
    """Let the servers meet one whole burst, so that Java has compiled their code before anything is measured."""
    async with (
        own_topics(bench.site, "warm-up"),
        started(EXACTLY_ONCE, bench.site, "warm-up") as (running, _),
        consuming(bench.site.kafka.bootstrap, "warm-up") as reader,
    ):
        await burst(bench.site, running, reader, MIXED, range(bench.sizes.events))


async def _measure(bench: Bench, candidate: Candidate, prefix: str) -> str:
    site, sizes, name, numbers = bench.site, bench.sizes, candidate.name, Numbers()
    async with own_topics(site, prefix), started(candidate, site, prefix) as (running, _):
        await asyncio.sleep(REST)
        at_rest = running.memory("VmRSS")
        async with consuming(site.kafka.bootstrap, prefix) as reader:
            await burst(site, running, reader, MIXED, numbers.take(sizes.warm_up))
            singles = numbers.take(0 if name in WITHOUT_LATENCY else sizes.single_events)
            delays = await latencies(site, reader, MIXED, singles, rate=LATENCY_RATE)
            mixed = await burst(site, running, reader, MIXED, numbers.take(sizes.events))
            peak = running.memory("VmHWM")
            uniform = await burst(site, running, reader, UNIFORM, numbers.take(sizes.uniform_events))
    figures = {
        throughput(MIXED): mixed.events_per_second,
        cpu(MIXED): mixed.cpu,
        SENDING: mixed.sending,
        throughput(UNIFORM): uniform.events_per_second,
        cpu(UNIFORM): uniform.cpu,
        PEAK: peak,
        AT_REST: at_rest,
        **({P50: percentile(delays, 50), P99: percentile(delays, 99)} if delays else {}),
    }
    bench.results.note_all(figures, name)
    return f"{name}: {mixed.events_per_second:,.0f} events/s, {mixed.cpu:.1f} µs of CPU an event, {peak:.0f} MB"
