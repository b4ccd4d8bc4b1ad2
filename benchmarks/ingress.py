"""What the bridge adds to a REST call: the same calls at the same rate, straight to Web Services and through it.

`python -m benchmarks.ingress`: both in one run, in alternating rounds, before the real CometD server and real Kafka.
Exits 1 where the added latency is over its limits.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from tests.faults.bridge_process import BridgeProcess
from tests.page import REQUEST
from tests.real import RealKafka, RealWebServices

RECORDS: Final = "/api/v2/me/outbound-records"
LIMIT_P50: Final = 3.0
LIMIT_P99: Final = 15.0
"""Milliseconds."""
WARM_UP: Final = 2.0


@dataclass
class Way:
    """One way to Web Services, and how long its calls took (ms)."""

    name: str
    url: str
    client: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)

    async def call(self, number: int) -> float:
        """One call; its time in ms.

        Raises:
            RuntimeError: it was not accepted.
        """
        body = REQUEST | {"referenceId": f"{self.name}-{number}"}
        began = time.perf_counter()
        async with self.client.post(f"{self.url}{RECORDS}/{number}", json=body, headers=self.headers) as reply:
            answer = await reply.json(content_type=None)
        if answer.get("statusCode") != 0:
            raise RuntimeError(f"{self.name}: HTTP {reply.status}, statusCode {answer.get('statusCode')}")
        return (time.perf_counter() - began) * 1000

    def percentile(self, percent: int) -> float:
        """A percentile of the times, ms."""
        return statistics.quantiles(self.times, n=100)[percent - 1]


async def steadily(way: Way, rate: int, seconds: float, first: int) -> list[float]:
    """Call at a constant rate, whatever the answers take; return the times."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        calls = []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            calls.append(group.create_task(way.call(first + number)))
    return [call.result() for call in calls]


async def log_in(client: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """Log in as a caller of Web Services itself does; return the header that each POST needs."""
    basic = "Basic " + base64.b64encode(b"agent:secret").decode()
    async with client.get(f"{url}/api/v2/me", headers={"Authorization": basic}) as reply:
        reply.raise_for_status()
        name = reply.headers.get("X-CSRF-HEADER")
        return {} if name is None else {name: reply.headers["X-CSRF-TOKEN"]}


async def compare(rate: int, rounds: int, seconds: float) -> tuple[Way, Way]:
    """Run both ways in turn."""
    with tempfile.TemporaryDirectory() as directory:
        async with (
            RealKafka() as kafka,
            RealWebServices() as web,
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as bare,
            aiohttp.ClientSession() as caller,
        ):
            environment = {
                "BRIDGE_WEB_SERVICES__URL": web.url,
                "BRIDGE_WEB_SERVICES__USERNAME": "agent",
                "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
                "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
                "BRIDGE_HTTP__PORT": "0",
            }
            bridge = BridgeProcess(environment, Path(directory) / "bridge.log")
            await bridge.start()
            try:
                await bridge.ready()
                direct = Way("direct", web.url, bare, await log_in(bare, web.url))
                through = Way("bridge", bridge.url, caller)
                first = 0
                for way in (direct, through):
                    await steadily(way, rate, WARM_UP, first)
                for _ in range(rounds):
                    first += 100_000
                    for way in (direct, through):
                        way.times += await steadily(way, rate, seconds, first)
                return direct, through
            finally:
                await bridge.terminate()


def main() -> int:
    """Compare, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=50, help="calls/s")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3, help="of each way in each round")
    arguments = parser.parse_args()
    direct, through = asyncio.run(compare(arguments.rate, arguments.rounds, arguments.seconds))
    print(f"{arguments.rate} calls/s, {len(direct.times)} calls each way; milliseconds")
    print("           p50      p90      p99      max")
    for way in (direct, through):
        figures = [way.percentile(50), way.percentile(90), way.percentile(99), max(way.times)]
        print(f"{way.name:8}" + "".join(f"{figure:8.2f} " for figure in figures))
    added = [through.percentile(percent) - direct.percentile(percent) for percent in (50, 99)]
    print(f"added: p50 {added[0]:.2f} (limit {LIMIT_P50:g}), p99 {added[1]:.2f} (limit {LIMIT_P99:g})")
    return 0 if added[0] < LIMIT_P50 and added[1] < LIMIT_P99 else 1


if __name__ == "__main__":
    sys.exit(main())
