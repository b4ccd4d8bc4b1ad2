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
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import uvloop

from benchmarks.contenders import Bridge, Site, launch, topic_of
from benchmarks.machine import machine
from benchmarks.process import ROOT
from benchmarks.sizing_report import write
from benchmarks.topic import consuming, create_topic
from tests.real import RealKafka, RealWebServices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.process import MeasuredProcess

PAGE: Final = ROOT / "docs" / "sizing.md"
RATES: Final = (0, 10, 100, 1_000, 5_000)
ACCOUNTS: Final = (1, 10, 50)
SHARED_RATE: Final = 1_000
"""Events a second of ten accounts together."""
COMPRESSIONS: Final = ("none", "lz4", "zstd")
COMPRESSED_RATE: Final = 1_000
BACKLOG: Final = 100_000
"""Events that come while Kafka is away."""
KEYS: Final = 1_000
SETTLE: Final = 3.0
"""Seconds at the rate before anything is measured."""
START_DEADLINE: Final = 60.0
DRAIN_DEADLINE: Final = 60.0


@dataclass(frozen=True)
class Sized(Bridge):
    """`bridge run` for several accounts, with a compression."""

    accounts: int = 1
    compression: str = "none"

    def environment(self, site: Site, prefix: str) -> Mapping[str, str]:
        """Its settings."""
        environment = dict(super().environment(site, prefix)) | {"BRIDGE_KAFKA__COMPRESSION": self.compression}
        if self.accounts > 1:
            del environment["BRIDGE_WEB_SERVICES__USERNAME"], environment["BRIDGE_WEB_SERVICES__PASSWORD"]
            listed = [{"name": name, "username": name, "password": "secret"} for name in users(self.accounts)]
            environment["BRIDGE_ACCOUNTS"] = msgspec.json.encode(listed).decode()
        return environment


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


def users(count: int) -> Mapping[str, str]:
    """Names and passwords of the server's accounts; the first is that of the other benchmarks."""
    return {"agent": "secret"} | {f"agent-{number}": "secret" for number in range(1, count)}


async def flow(site: Site, bridge: Sized, rate: int, prefix: str, seconds: float) -> Flow:
    """Let the server send steadily, and measure the bridge meanwhile."""
    topic = topic_of(prefix)
    await create_topic(site.kafka.bootstrap, topic)
    process = launch(bridge, site, prefix)
    each = rate / bridge.accounts  # every account's session gets what the server sends
    try:
        await process.ready(bridge.is_ready, deadline=START_DEADLINE)
        await _send(site, each, SETTLE)
        async with consuming(site.kafka.bootstrap, topic) as reader:
            starts = await reader.ends()
            count = round(each * seconds) * bridge.accounts
            began, cpu = time.monotonic(), process.cpu()
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(reader.latencies(starts, count, deadline=seconds + DRAIN_DEADLINE))
                group.create_task(_send(site, each, seconds))
            cpu = (process.cpu() - cpu) / (time.monotonic() - began)
        total = (round(each * SETTLE) + round(each * seconds)) * bridge.accounts
        return Flow(
            bridge.accounts,
            rate,
            bridge.compression,
            100 * cpu,
            process.memory("VmRSS"),
            [1000 * latency for latency in reading.result()],
            _on_disk(site.kafka, topic) / max(1, total),
            _on_disk(site.kafka, f"{prefix}.bridge-state") / max(1, total),
        )
    finally:
        await _end(site, process)


async def outage(site: Site, prefix: str) -> Outage:
    """Let Kafka hang while the server sends, and see its queue grow and drain."""
    topic = topic_of(prefix)
    await create_topic(site.kafka.bootstrap, topic)
    process = launch(Sized("exactly-once"), site, prefix)
    try:
        await process.ready(Sized("exactly-once").is_ready, deadline=START_DEADLINE)
        await site.web_services.generate(BACKLOG, keys=KEYS)  # the heap and the topic have seen as many before
        async with consuming(site.kafka.bootstrap, topic) as reader:
            async with asyncio.timeout(DRAIN_DEADLINE):
                while sum((await reader.ends()).values()) < BACKLOG or await _queued(site):  # noqa: ASYNC110 -- Kafka tells nobody
                    await asyncio.sleep(0.1)
            memory, heap, starts = process.memory("VmRSS"), await _heap(site), await reader.ends()
            await site.kafka.pause()
            try:
                await site.web_services.generate(BACKLOG, keys=KEYS, start=BACKLOG)
                grown = await _heap(site) - heap
                queued = await _queued(site)
            finally:
                await site.kafka.resume()
            began = time.monotonic()
            watch = await reader.watch(starts, BACKLOG, deadline=DRAIN_DEADLINE)
            last = await reader.verify(watch, range(BACKLOG, 2 * BACKLOG), deadline=DRAIN_DEADLINE)
        return Outage(queued, grown / queued, watch.complete_at(last) - began, memory, process.memory("VmHWM"))
    finally:
        await _end(site, process)


async def measure(seconds: float) -> tuple[list[Flow], list[Outage]]:
    """Run everything, one after the other."""
    flows: list[Flow] = []
    plans = [(Sized("exactly-once"), rate) for rate in RATES]
    plans += [(Sized("exactly-once", accounts), rate) for accounts in ACCOUNTS[1:] for rate in (0, SHARED_RATE)]
    plans += [(Sized("exactly-once", compression=name), COMPRESSED_RATE) for name in COMPRESSIONS[1:]]
    with tempfile.TemporaryDirectory(prefix="bridge-sizing-") as directory:
        async with RealKafka() as kafka:
            web_services = RealWebServices()
            await web_services.start(users=users(max(ACCOUNTS)))
            async with web_services:
                site = Site(kafka, web_services, Path(directory))
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
        await site.web_services.generate(round(rate * seconds), keys=KEYS, rate=rate)
    else:
        await asyncio.sleep(seconds)


async def _end(site: Site, process: MeasuredProcess) -> None:
    await process.stop()
    await site.web_services.expire_sessions()


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
