"""How long a fleet takes to go on with a session: `python -m tests.faults.takeover_times --runs 20`.

On the real parts: three replicas, one account, 40 events/s. In each run the replica that relays the account ends, by
SIGKILL and by SIGTERM in turn, and is started again. The time is from the signal to the first reply in the session at
another replica.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.fleet.replicas import handshakes, owner, replica_of, start
from tests.faults.site import USERS, Site
from tests.real import RealKafka, RealWebServices

LOAD = 40
"""Events/s: at the end all of them are read again."""


async def measure(runs: int, directory: Path) -> dict[str, list[float]]:
    """Return the times in seconds, by the signal. Every event must be in Kafka once, and no session opened anew."""
    times: dict[str, list[float]] = {"SIGKILL": [], "SIGTERM": []}
    web = RealWebServices()
    await web.start(users=USERS)
    async with web, RealKafka() as kafka, Site(kafka, web, directory) as site:
        replicas = await start(site)
        await owner(replicas)
        async with site.load(rate=LOAD, keys=10):
            for run in range(2 * runs):
                first = await owner(replicas)
                others = [one for one in replicas if one is not first]
                began = time.monotonic()
                if run % 2:
                    _, second = await asyncio.gather(first.terminate(), owner(others))
                else:
                    await first.kill()
                    second = await owner(others)
                times["SIGTERM" if run % 2 else "SIGKILL"].append(time.monotonic() - began)
                sys.stderr.write(f"{run:3} {time.monotonic() - began:.2f}\n")
                assert await handshakes([second]) == 0
                replicas[replicas.index(first)] = again = await replica_of(site, replicas.index(first))
                await again.ready(within=60)
            await site.arrived(site.ledger.taken, within=120)
        assert (await site.settled()).changes == ["opened"]
    return times


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="of each signal")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        times = asyncio.run(measure(arguments.runs, Path(directory)))
    for signal, seconds in times.items():
        ordered = sorted(seconds)
        p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
        figures = (ordered[0], statistics.median(ordered), p95, ordered[-1])
        sys.stdout.write(f"| {signal} | {len(ordered)} | {' | '.join(f'{one:.2f}' for one in figures)} |\n")


if __name__ == "__main__":
    main()
