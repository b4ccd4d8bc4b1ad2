"""Traffic through a candidate, and what it shows: bursts and latencies."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.measuring.process import Running
    from benchmarks.measuring.site import Site
    from benchmarks.measuring.topics import TopicReader
    from benchmarks.measuring.traffic import Traffic

DEADLINE: Final = 60.0
"""Seconds for everything that waits for events."""


@dataclass(frozen=True)
class Burst:
    """Events sent as fast as the server can."""

    events_per_second: float
    """From the first send until a read_committed consumer could read the last event."""
    cpu: float
    """Microseconds of processor time for each event, user and system."""
    sending: float
    """The part of that time, in percent, in which the server was still sending: near 100 it is the bottleneck."""


async def burst(
    site: Site, running: Running, reader: TopicReader, traffic: Traffic, numbers: range, *, in_turn: bool = False
) -> Burst:
    """Let the server send these events as fast as it can, and check that each arrives once.

    Raises:
        Incomplete: an event is missing, or there more than once.
    """

    async def send() -> tuple[float, float]:
        began = time.monotonic()
        await traffic.send(site.web_services, numbers, in_turn=in_turn)
        return began, time.monotonic() - began

    starts = await reader.ends()
    cpu = running.cpu()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(reader.watch(starts, len(numbers), deadline=DEADLINE))
        sending = group.create_task(send())
    cpu = running.cpu() - cpu
    watch, (began, sent_in) = watching.result(), sending.result()
    last = await reader.verify(starts, numbers, deadline=DEADLINE)
    seconds = watch.complete_at(last) - began
    return Burst(len(numbers) / seconds, 1e6 * cpu / len(numbers), 100 * sent_in / seconds)


async def latencies(
    site: Site, reader: TopicReader, traffic: Traffic, numbers: range, *, rate: float, in_turn: bool = False
) -> list[float]:
    """Let the server send these events at a rate; return the ms that each took until it could be read, ascending."""
    starts = await reader.ends()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(reader.latencies(starts, len(numbers), deadline=DEADLINE))
        group.create_task(traffic.send(site.web_services, numbers, rate=rate, in_turn=in_turn))
    return sorted(1000 * seconds for seconds in reading.result())
