"""How long `bridge evidence export` takes on topics with many records, and how much CPU time and memory it needs.

`python -m benchmarks.evidence --records 1000000` fills a real Kafka with that many operation events, and with the
acknowledgements and user events of the same operations. Then it runs the command as a process for each kind of search.
It exits with 1 if a search finds less than was written, or takes longer than its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import uvloop
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from bridge.delivery import connection, create_missing_topics, partition_of, topic_name
from bridge.events import JSON, rfc3339
from bridge.operations import OperationRecords
from bridge.settings import Kafka
from tests.evidence_parts import ACCEPTED, ACCOUNT, KEYS, PASSWORD, acknowledged, event_id, heard, operation
from tests.real import RealKafka

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.events import Operation, Record

DEVICE: Final = "f32a46c4-8a48-4067-9965-537fc9788790"
EVENTS_EACH: Final = 3
"""Events of an operation: requested, accepted, acknowledged."""
HANDLES: Final = 100_000
"""Outbound records, and as many phone numbers. Each record gets several operations if there are more operations."""
BATCH_BYTES: Final = 512 << 10
SECONDS_APART: Final = 2.0
REFERENCE_LIMIT: Final = 5.0
PHONE_LIMIT: Final = 180.0
"""Seconds that a search may take, on a machine that does nothing else."""


class Search(NamedTuple):
    """One search, and its results."""

    name: str
    arguments: Sequence[str]
    operations: int
    """How many operations it must find."""
    limit: float


class Measured(NamedTuple):
    """What a run of the command took."""

    seconds: float
    cpu: float
    """User and system time in seconds."""
    peak: float
    """The largest resident memory in MB (10^6 bytes)."""


class Operations:
    """Makes the records of operations, at regular intervals until now."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._start = time.time() - 3600 - count * SECONDS_APART
        self._records = OperationRecords(JSON, None, KEYS)
        self._numbers = random.Random(7).sample(range(2_000_000_000, 9_000_000_000), HANDLES)  # noqa: S311 -- always the same numbers

    def reference(self, number: int) -> str:
        """Return the referenceId of an operation."""
        return f"crm-{number:07d}"

    def handle(self, number: int) -> int:
        """Return the record handle of an operation."""
        return number % HANDLES

    def phone(self, number: int) -> str:
        """Return the phone number of an operation."""
        return f"+1{self._numbers[self.handle(number)]}"

    def same_record(self, number: int) -> int:
        """Return how many operations are about the same record as this operation."""
        return len(range(self.handle(number), self._count, HANDLES))

    def all(self) -> Iterator[tuple[Record, int]]:
        """Yield each record with its timestamp in ms since the epoch."""
        for number in range(self._count):
            at = self._start + number * SECONDS_APART
            ms = round(at * 1000)
            requested = self._operation(number, at)
            yield self._records.record(requested), ms
            accepted = msgspec.structs.replace(
                requested,
                status="accepted",
                at=rfc3339(at + 0.05),
                upstream=ACCEPTED,
            )
            yield self._records.record(accepted), ms + 50
            yield from ((record, ms + 300) for record in self._relayed(number, at + 0.3))
            ended = msgspec.structs.replace(
                accepted, status="acknowledged", at=rfc3339(at + 0.3), acknowledgement_id=event_id(2 * number)
            )
            yield self._records.record(ended), ms + 300

    def _operation(self, number: int, at: float) -> Operation:
        request = {
            "operationName": "DoNotCallRecord",
            "applicationId": 134,
            "campaignName": "Spring",
            "callingList": "List-7",
            "devicePath": f"/devices/{DEVICE}",
            "phoneNumber": self.phone(number),
            "referenceId": self.reference(number),
        }
        return operation(
            self.reference(number),
            "requested",
            at,
            received_at=rfc3339(at),
            record_handle=self.handle(number),
            request=_raw(request),
        )

    def _relayed(self, number: int, at: float) -> Iterator[Record]:
        phone, handle = self.phone(number), self.handle(number)
        original = {"phone": phone, "callResult": 21, "attempts": 3, "dailyFrom": 28800, "dailyTill": 64800}
        common: dict[str, Any] = {"calling_list": "List-7", "phone_number": phone, "original": _raw(original)}
        yield acknowledged(
            self.reference(number),
            at,
            handle=handle,
            number=2 * number,
            device_path=f"/devices/{DEVICE}",
            **common,
        )
        yield heard(
            at,
            handle=handle,
            number=2 * number + 1,
            chain_id=number,
            chain_attribute="record_only",
            device_id=DEVICE,
            user_data=_raw({"GSW_PHONE": phone, "GSW_CALL_RESULT": 21}),
            **common,
        )


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


async def fill(settings: Kafka, operations: Operations) -> int:
    """Create the topics and write the records of all operations. Return how many records were written."""
    await create_missing_topics(settings)
    producer = AIOKafkaProducer(**connection(settings), max_batch_size=BATCH_BYTES, max_request_size=4 << 20)
    await producer.start()
    written = 0
    batches: dict[tuple[str, int], Any] = {}
    pending: dict[tuple[str, int], asyncio.Future[Any]] = {}

    async def send(place: tuple[str, int]) -> None:
        topic, partition = place
        if place in pending:
            await pending[place]
        batch = batches.pop(place)
        batch.close()
        pending[place] = await producer.send_batch(batch, topic, partition=partition)

    try:
        for record, timestamp in operations.all():
            place = (topic_name(settings, record.topic), partition_of(record.key, settings.partitions or 6))
            for _ in range(2):
                batch = batches.get(place) or producer.create_batch()
                batches[place] = batch
                added = batch.append(
                    key=record.key, value=record.value, timestamp=timestamp, headers=list(record.headers)
                )
                if added is not None:
                    break
                await send(place)
            written += 1
        for place in tuple(batches):
            await send(place)
        await asyncio.gather(*pending.values())
    finally:
        await producer.stop()
    return written


async def run_command(arguments: Sequence[str], settings: Kafka, directory: Path) -> Measured:
    """Run `bridge evidence export` in a process of its own.

    Raises:
        RuntimeError: the command has failed. The text is its output.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")} | {
        # An installed bridge has its bytecode on disk.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(directory / "bytecode"),
        "BRIDGE_WEB_SERVICES__URL": "http://127.0.0.1:9",
        "BRIDGE_WEB_SERVICES__USERNAME": ACCOUNT,
        "BRIDGE_WEB_SERVICES__PASSWORD": PASSWORD,
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "BRIDGE_KAFKA__TOPIC_PREFIX": settings.topic_prefix,
    }
    log = directory / "output"
    command = [sys.executable, "-m", "bridge", "evidence", "export", *arguments, "--output", str(directory / "found")]
    began = time.monotonic()
    with log.open("wb") as output:
        actions = [(os.POSIX_SPAWN_DUP2, output.fileno(), 1), (os.POSIX_SPAWN_DUP2, output.fileno(), 2)]
        pid = os.posix_spawn(sys.executable, command, environment, file_actions=actions)  # noqa: ASYNC221 -- returns at once
    _, status, usage = await asyncio.to_thread(os.wait4, pid, 0)
    seconds = time.monotonic() - began
    if status != 0:
        raise RuntimeError(log.read_text(errors="replace"))
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def found_in(path: Path) -> dict[str, int]:
    """Return how many operations, records, and read records a bundle names."""
    bundle = json.loads(path.read_bytes())["bundle"]
    read = sum(part["records"] for one in bundle["searched"] for part in one["ranges"])
    return {"operations": len(bundle["operations"]), "records": len(bundle["records"]), "read": read}


async def run(records: int, rounds: int, console: Console) -> bool:
    """Fill Kafka, run the searches, and print the table. Return whether all searches met their limits."""
    count = max(1, records // EVENTS_EACH)
    await KEYS[ACCOUNT].start("ledger")
    operations = Operations(count)
    some = count // 2
    same = operations.same_record(some)
    searches = [
        Search("by reference", ["--reference", operations.reference(some)], 1, REFERENCE_LIMIT),
        Search("by phone", ["--phone", operations.phone(some)], same, PHONE_LIMIT),
        Search("by record", ["--record", f"134/Spring/{operations.handle(some)}"], same, PHONE_LIMIT),
    ]
    good = True
    table = Table(title=f"bridge evidence export, {EVENTS_EACH * count:,} operation events")
    for name in ("search", "seconds", "limit", "CPU s", "peak MB", "operations", "records", "records read"):
        table.add_column(name, justify="left" if name == "search" else "right")
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as place:
        directory = Path(place)
        async with RealKafka() as kafka:
            settings = Kafka(bootstrap_servers=kafka.bootstrap, retention_days=36_500)
            began = time.monotonic()
            written = await fill(settings, operations)
            console.print(f"{written:,} records written in {time.monotonic() - began:.0f} s")
            await run_command(searches[0].arguments, settings, directory)  # writes the bytecode
            for search in searches:
                runs = [await run_command(search.arguments, settings, directory) for _ in range(rounds)]
                found = found_in(directory / "found")
                best = min(runs)
                good &= best.seconds <= search.limit and found["operations"] == search.operations
                table.add_row(
                    search.name,
                    f"{best.seconds:.1f}",
                    f"{search.limit:.0f}",
                    f"{best.cpu:.1f}",
                    f"{best.peak:.0f}",
                    *(f"{one:,}" for one in found.values()),
                )
    console.print(table)
    return good


def main() -> None:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="operation events (default: 1,000,000)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each search (default: 1)")
    options = parser.parse_args()
    console = Console(width=max(120, Console().width))
    if not uvloop.run(run(options.records, options.rounds, console)):
        sys.exit(1)


if __name__ == "__main__":
    main()
