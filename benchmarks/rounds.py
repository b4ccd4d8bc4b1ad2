"""One round of one contender: from its start to its end, everything measured once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.contenders import launch, topic_of
from benchmarks.topic import consuming, create_topic

if TYPE_CHECKING:
    from benchmarks.contenders import Contender, Site
    from benchmarks.process import MeasuredProcess
    from benchmarks.topic import TopicReader

KEYS: Final = 1000
LATENCY_RATE: Final = 200.0
"""Single events a second."""
REST: Final = 1.5
"""Seconds without events before the memory at rest is read."""
START_DEADLINE: Final = 30.0
RUN_DEADLINE: Final = 60.0


@dataclass(frozen=True)
class Load:
    """How much is sent in each round: `warm_up` and `events` as fast as they go, `single` one by one."""

    warm_up: int
    events: int
    single: int


@dataclass(frozen=True)
class Burst:
    """Events sent as fast as the server can."""

    events_per_second: float
    """From the first send until a read_committed consumer could read the last one."""
    cpu: float
    """Seconds of processor time for each event, user and system."""
    sending: float
    """The part of that time in which the server was still sending: near 1 it would be the server that was measured."""


@dataclass(frozen=True)
class Round:
    """What one round has shown. Times in seconds, memory in MB (10^6 bytes)."""

    start: float
    rest: float
    peak: float
    burst: Burst
    latencies: list[float]


async def run_round(contender: Contender, site: Site, prefix: str, load: Load) -> Round:
    """Run a contender, with topics of its own; it is alone on the machine with the servers and with this process."""
    topic = topic_of(prefix)
    await create_topic(site.kafka.bootstrap, topic)
    process = launch(contender, site, prefix)
    try:
        start = await process.ready(contender.is_ready, deadline=START_DEADLINE)
        await asyncio.sleep(REST)
        rest = process.memory("VmRSS")
        async with consuming(site.kafka.bootstrap, topic) as reader:
            await _burst(site, process, reader, range(load.warm_up))
            latencies = await _singles(site, reader, load.single)
            burst = await _burst(site, process, reader, range(load.warm_up, load.warm_up + load.events))
        return Round(start, rest, process.memory("VmHWM"), burst, latencies)
    finally:
        await process.stop()
        # The server would keep the session, and queue the next contender's events in it, for maxInterval.
        await site.web_services.expire_sessions()


async def _burst(site: Site, process: MeasuredProcess, reader: TopicReader, references: range) -> Burst:
    """Let the server send these as fast as it can, and see them all arrive."""

    async def publish() -> tuple[float, float]:
        began = time.monotonic()
        await site.web_services.generate(len(references), keys=KEYS, start=references.start)
        return began, time.monotonic() - began

    starts = await reader.ends()
    cpu = process.cpu()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(reader.watch(starts, len(references), deadline=RUN_DEADLINE))
        publishing = group.create_task(publish())
    cpu = process.cpu() - cpu
    watch, (began, sent_in) = watching.result(), publishing.result()
    last = await reader.verify(watch, references, deadline=RUN_DEADLINE)
    seconds = watch.complete_at(last) - began
    return Burst(len(references) / seconds, cpu / len(references), sent_in / seconds)


async def _singles(site: Site, reader: TopicReader, count: int) -> list[float]:
    """Let the server send events one by one, and time each."""
    starts = await reader.ends()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(reader.latencies(starts, count, deadline=RUN_DEADLINE))
        group.create_task(site.web_services.generate(count, keys=KEYS, rate=LATENCY_RATE))
    return reading.result()
