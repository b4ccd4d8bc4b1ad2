"""Many requests by Kafka while the bridges are killed and the group rebalances: what became of each, in a table.

    python -m tests.faults.request_runs --requests 20000

Two replicas read the topic of a real Kafka, before a real CometD server. Three times a replica ends with kill -9 and is
started again; a third replica joins, and leaves. No part of `make test`.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bridge.events import Operation
from tests.faults.bridge_process import BridgeProcess
from tests.faults.fleet.replicas import replica_of
from tests.faults.operations import forwarded, ledger
from tests.faults.requests import ON, RequestTopic, numbered, request_topic
from tests.faults.site import USERS, Site
from tests.real import RealKafka, RealWebServices
from tests.waiting import eventually

KILLS = 3
MAX_INTERVAL = 120.0
"""Seconds. A busy machine may start a bridge late, and no session may be lost meanwhile."""
PATIENCE = 600.0
ENDS = {"acknowledged", "timed-out"}


async def run(requests: int, directory: Path) -> bool:
    """Run once and print the table. Return whether each request was acknowledged, and no event was missing."""
    web = RealWebServices()
    await web.start(users=USERS, max_interval=MAX_INTERVAL)
    async with web, RealKafka() as kafka, Site(kafka, web, directory) as site:
        return await _runs(site, requests)


async def _runs(site: Site, requests: int) -> bool:
    replicas = [await _replica(site, number) for number in (1, 2)]
    async with request_topic(site) as topic:
        began = time.monotonic()
        await topic.request(*numbered(0, requests))
        _say(f"{requests} requests sent in {time.monotonic() - began:.0f} s")
        for kill in range(KILLS):
            await _left_less_than(topic, requests * (5 - kill) // 6)
            await replicas[kill % 2].kill()
            _say(f"kill -9 of a replica, {await topic.left()} requests left")
            replicas[kill % 2] = await _replica(site, kill % 2 + 1)
        await _left_less_than(topic, requests * 2 // 6)
        third = await _replica(site, 3)
        _say(f"a third replica has joined, {await topic.left()} requests left")
        await _left_less_than(topic, requests // 6)
        exit_ = await third.terminate()
        _say(f"it has left with status {exit_.status}, {await topic.left()} requests left")
        await topic.all_committed(within=PATIENCE)
        await _all_ended(site, topic)
        seconds = time.monotonic() - began
        await _show(site, topic, seconds)
        told, times = await ledger(site), await forwarded(site)
    for replica in replicas:
        await replica.terminate()
    return all(
        _outcome(told[one]) == "acknowledged" and 1 <= times[one] <= max(event.attempt for event in told[one])
        for one in topic.sent
    )


async def _replica(site: Site, number: int) -> BridgeProcess:
    replica = await replica_of(site, number, **ON)
    await replica.ready(within=120)
    return replica


async def _left_less_than(topic: RequestTopic, count: int) -> None:
    async def less() -> bool:
        return await topic.left() < count

    await eventually(less, within=PATIENCE)


async def _all_ended(site: Site, topic: RequestTopic) -> None:
    async def ended() -> bool:
        told = await ledger(site)
        return all(_outcome(told[one]) in ENDS for one in topic.sent)

    await eventually(ended, within=PATIENCE)


def _outcome(events: list[Operation]) -> str:
    """Return the status that ends the operation, or else the newest. Another replica's event may follow the end."""
    return next((one.status for one in events if one.status in ENDS), events[-1].status)


async def _show(site: Site, topic: RequestTopic, seconds: float) -> None:
    told, times = await ledger(site), await forwarded(site)
    statuses = Counter(_outcome(told[one]) for one in topic.sent)
    twice = [one for one in topic.sent if times[one] > 1]
    said = [one for one in twice if max(event.attempt for event in told[one]) >= times[one]]
    rows = {
        "sent": len(topic.sent),
        **{f"outcome {status}": count for status, count in sorted(statuses.items())},
        "an event after the end": sum(told[one][-1].status not in ENDS for one in topic.sent),
        "never forwarded": sum(times[one] == 0 for one in topic.sent),
        "forwarded more than once": len(twice),
        "of these, the ledger has the attempt": len(said),
        "kill -9 of a replica": KILLS,
        "seconds": round(seconds),
    }
    for name, value in rows.items():
        print(f"| {name} | {value} |")  # noqa: T201 -- the command's output


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000, help="requests to send (default: 20000)")
    requests = parser.parse_args().requests
    if requests < 100:
        parser.error("--requests: at least 100, so that the faults hit requests under way")
    with tempfile.TemporaryDirectory() as directory:
        fine = asyncio.run(run(requests, Path(directory)))
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
