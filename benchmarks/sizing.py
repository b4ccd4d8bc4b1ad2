"""What the bridge takes at steady rates: processor, memory, Kafka's disk, and the server's queue during an outage.

`python -m benchmarks.sizing`: with the real Kafka and the real CometD server, in about 5 minutes; it writes its tables
into docs/sizing.md. `make bench` tells the top rate, this one what lies under it.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import uvloop

from benchmarks.candidates.bridge import Bridge
from benchmarks.candidates.candidate import own_topics, started
from benchmarks.measuring.process import ROOT
from benchmarks.measuring.site import running_site
from benchmarks.measuring.topics import consuming, topics_of
from benchmarks.measuring.traffic import UNIFORM
from benchmarks.reporting.machine import machine
from benchmarks.sizing_report import write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measuring.site import Site
    from tests.real import RealKafka

PAGE: Final = ROOT / "docs" / "sizing.md"
RATES: Final = (0, 10, 100, 1_000, 5_000)
ACCOUNTS: Final = (1, 10, 50)
SHARED_RATE: Final = 1_000
"""Events a second of ten accounts together."""
COMPRESSIONS: Final = ("none", "lz4", "zstd")
COMPRESSED_RATE: Final = 1_000
BACKLOG: Final = 100_000
"""Events that come while Kafka is away."""
SETTLE: Final = 3.0
"""Seconds at the rate before anything is measured."""
DRAIN_DEADLINE: Final = 60.0


@dataclass(frozen=True)
class Flow:
    """What a steady rate has shown. `rate` and all that is said of an event are those of all accounts together."""

    accounts: int
    rate: int
    compression: str
    cpu: float
    """Percent of one core, user and system."""
    memory: float
    """VmRSS at the end, in MB (10^6 bytes)."""
    latencies: Sequence[float]
    """Milliseconds from the server's send until a read_committed consumer has the event."""
    event_bytes: float
    """On the disk of one replica, for each event on its topic."""
    position_bytes: float
    """The same on the topic of positions, before it is compacted."""


@dataclass(frozen=True)
class Outage:
    """What came of events that were sent while Kafka was away."""

    events: int
    server_bytes: float
    """Of the CometD server's heap, for each event in its queue."""
    drained: float
    """Seconds from Kafka's return until a read_committed consumer could read the last event."""
    memory: float
    peak: float
    """The bridge's VmRSS before the outage and its VmHWM after it, in MB."""


async def flow(site: Site, bridge: Bridge, rate: int, prefix: str, seconds: float) -> Flow:
    """Let the server send steadily, and measure the bridge meanwhile."""
    topic = topics_of(prefix)[0]
    each = rate / bridge.accounts  # every account's session gets what the server sends
    async with own_topics(site, prefix), started(bridge, site, prefix) as (running, _):
        await _send(site, each, SETTLE)
        async with consuming(site.kafka.bootstrap, prefix) as reader:
            starts = await reader.ends()
            count = round(each * seconds) * bridge.accounts
            began, cpu = time.monotonic(), running.cpu()
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(reader.latencies(starts, count, deadline=seconds + DRAIN_DEADLINE))
                group.create_task(_send(site, each, seconds))
            cpu = (running.cpu() - cpu) / (time.monotonic() - began)
        total = (round(each * SETTLE) + round(each * seconds)) * bridge.accounts
        return Flow(
            bridge.accounts,
            rate,
            bridge.compression,
            100 * cpu,
            running.memory("VmRSS"),
            [1000 * latency for latency in reading.result()],
            _on_disk(site.kafka, topic) / max(1, total),
            _on_disk(site.kafka, f"{prefix}.bridge-state") / max(1, total),
        )


async def outage(site: Site, prefix: str) -> Outage:
    """Let Kafka hang while the server sends, and see its queue grow and drain."""
    async with own_topics(site, prefix), started(Bridge("outage"), site, prefix) as (running, _):
        await UNIFORM.send(site.web_services, range(BACKLOG))  # the heap and the topic have seen as many before
        async with consuming(site.kafka.bootstrap, prefix) as reader:
            async with asyncio.timeout(DRAIN_DEADLINE):
                while sum((await reader.ends()).values()) < BACKLOG or await _queued(site):  # noqa: ASYNC110 -- Kafka tells nobody
                    await asyncio.sleep(0.1)
            memory, heap, starts = running.memory("VmRSS"), await _heap(site), await reader.ends()
            await site.kafka.pause()
            try:
                await UNIFORM.send(site.web_services, range(BACKLOG, 2 * BACKLOG))
                grown = await _heap(site) - heap
                queued = await _queued(site)
            finally:
                await site.kafka.resume()
            began = time.monotonic()
            watch = await reader.watch(starts, BACKLOG, deadline=DRAIN_DEADLINE)
            last = await reader.verify(starts, range(BACKLOG, 2 * BACKLOG), deadline=DRAIN_DEADLINE)
        drained = watch.complete_at(last) - began
        return Outage(queued, grown / queued, drained, memory, running.memory("VmHWM"))


async def measure(seconds: float) -> tuple[list[Flow], list[Outage]]:
    """Run everything, one after the other."""
    flows: list[Flow] = []
    plans = [(Bridge("one account"), rate) for rate in RATES]
    plans += [(Bridge("accounts", accounts=count), rate) for count in ACCOUNTS[1:] for rate in (0, SHARED_RATE)]
    plans += [(Bridge(name, compression=name), COMPRESSED_RATE) for name in COMPRESSIONS[1:]]
    async with running_site(max(ACCOUNTS)) as site:
        for number, (bridge, rate) in enumerate(plans):
            one = await flow(site, bridge, rate, f"sizing-{number}", seconds)
            flows.append(one)
            middle = statistics.median(one.latencies) if one.latencies else 0.0
            print(
                f"{one.accounts} account(s), {rate} events/s, {one.compression}: {one.cpu:.1f} % of a core, "
                f"{one.memory:.0f} MB, p50 {middle:.1f} ms, {one.event_bytes:.0f} + {one.position_bytes:.0f} B"
            )
        away = await outage(site, "sizing-outage")
        print(
            f"outage: {away.server_bytes:.0f} B an event on the server, drained in {away.drained:.1f} s, "
            f"{away.memory:.0f} MB, then at most {away.peak:.0f} MB"
        )
    return flows, [away]


async def _send(site: Site, rate: float, seconds: float) -> None:
    """Let the server send for that long; without a rate, nothing."""
    if rate:
        await UNIFORM.send(site.web_services, range(round(rate * seconds)), rate=rate)
    else:
        await asyncio.sleep(seconds)


async def _queued(site: Site) -> int:
    return sum(session.queued for session in await site.web_services.sessions())


async def _heap(site: Site) -> int:
    """Bytes of the server's live objects: the class histogram collects the garbage first."""
    command = ["jcmd", str(site.web_services.pid), "GC.class_histogram"]
    told = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=True)
    total = re.search(r"^Total\s+\d+\s+(\d+)$", told.stdout, re.MULTILINE)
    if total is None:
        raise RuntimeError("jcmd shows no total")
    return int(total[1])


def _on_disk(kafka: RealKafka, topic: str) -> int:
    """Bytes of the topic's segments, without their indexes."""
    return sum(segment.stat().st_size for segment in kafka.data.glob(f"{topic}-*/*.log"))


def main() -> None:
    """Measure, print, and write the page's tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15, help="of each rate (default: 15)")
    parser.add_argument("--no-write", action="store_true", help="leave docs/sizing.md as it is")
    arguments = parser.parse_args()
    where = machine()
    print(where)
    flows, outages = uvloop.run(measure(arguments.seconds))
    if not arguments.no_write:
        today = datetime.now(UTC).date().isoformat()
        write(PAGE, flows, outages, machine=where, seconds=arguments.seconds, date=today)
        print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
