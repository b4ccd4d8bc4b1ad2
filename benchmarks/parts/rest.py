"""What the bridge adds to a REST call: the same calls straight to Web Services and through the bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.candidates.bridge import EXACTLY_ONCE, url_of
from benchmarks.candidates.candidate import own_topics, started
from benchmarks.measuring.calls import CONNECTIONS, calling, log_in
from benchmarks.measuring.results import Quantity, percentile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measuring.calls import Calls
    from benchmarks.measuring.process import Running
    from benchmarks.parts.bench import Bench

RATE: Final = 50
"""Calls a second."""
WARM_UP: Final = 1.0
THROUGH: Final = "through the bridge"
STRAIGHT: Final = "straight to Web Services"
CALLS: Final = Quantity(f"REST on {CONNECTIONS} connections, calls/s", 0)
BUSY_P50: Final = Quantity(f"REST on {CONNECTIONS} connections, p50, ms", 1)
CPU: Final = Quantity("the bridge's CPU for such a call and its events, ms", 2)
P50: Final = Quantity(f"REST at {RATE} calls/s, p50, ms", 2)
P99: Final = Quantity(f"REST at {RATE} calls/s, p99, ms", 2)
ADDED_P50: Final = Quantity(f"REST at {RATE} calls/s, added p50, ms", 2)
ADDED_P99: Final = Quantity(f"REST at {RATE} calls/s, added p99, ms", 2)


async def rest(bench: Bench) -> None:
    """Measure both ways in each round, with a new bridge. Every round begins with the other way."""
    order = [STRAIGHT, THROUGH]

    async def measure(_: str, prefix: str) -> str:
        site = bench.site
        async with (
            own_topics(site, prefix),
            started(EXACTLY_ONCE, site, prefix) as (running, _seconds),
            calling(f"{prefix}-straight", site.web_services.url, await log_in(site.web_services.url)) as straight,
            calling(f"{prefix}-through", url_of(running.outputs()[0]) or "", {}) as through,
        ):
            calls = {STRAIGHT: straight, THROUGH: through}
            ways = {name: calls[name] for name in order}
            order.reverse()
            for way in ways.values():
                await way.at_once(WARM_UP)
            await _steadily(bench, ways)
            return await _at_once(bench, ways, running)

    await bench.rounds("rest", [THROUGH], measure)


async def _steadily(bench: Bench, ways: Mapping[str, Calls]) -> None:
    """Measure the times of calls at a constant rate, and what the bridge adds to them."""
    times = {name: await way.steadily(RATE, bench.sizes.calling) for name, way in ways.items()}
    for percent, quantity, added in ((50, P50, ADDED_P50), (99, P99, ADDED_P99)):
        took = {name: percentile(one, percent) for name, one in times.items()}
        for name, value in took.items():
            bench.results.note(quantity, name, value)
        bench.results.note(added, THROUGH, took[THROUGH] - took[STRAIGHT])


async def _at_once(bench: Bench, ways: Mapping[str, Calls], running: Running) -> str:
    """Measure how many calls there can be with all connections busy."""
    shown = ""
    for name, way in ways.items():
        cpu = running.cpu()
        times, rate = await way.at_once(bench.sizes.calling)
        bench.results.note(CALLS, name, rate)
        bench.results.note(BUSY_P50, name, percentile(times, 50))
        if name == THROUGH:
            bench.results.note(CPU, name, 1000 * (running.cpu() - cpu) / len(times))
            shown = f"{rate:,.0f} calls/s {name}"
    return shown
