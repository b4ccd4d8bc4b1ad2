"""What an event costs in each format: from the CometD message to its place in a batch for Kafka, in CPU time.

`python -m benchmarks.formats`: all formats in one process, in alternating rounds, no server. Exits 1 where Avro costs
more than twice what JSON does.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiokafka import AIOKafkaProducer

from bridge.cometd import Event
from bridge.delivery.client.batches import batches
from bridge.events import JSON, TOPICS
from bridge.privacy import Concealment
from bridge.registry.encoding import RegistryEncoding
from bridge.registry.reading import Reader
from bridge.relay.translation import Translator
from bridge.settings import Kafka, Registry
from tests import page

if TYPE_CHECKING:
    from bridge.events import Encoding
    from bridge.registry.subjects import Subject

LIMIT: Final = 2.0
EVENTS: Final = 2000
"""Of one round: what one transaction brings."""
PARTITIONS: Final = dict.fromkeys(TOPICS, 6)


class Ids:
    """Stands for the registry, which is asked only at the start."""

    def __init__(self) -> None:
        self._ids = 0

    async def id_of(self, _: Subject) -> int:
        """Give the next id."""
        self._ids += 1
        return self._ids


async def encoding(form: Any) -> Encoding:
    """The encoding of a format that needs a registry."""
    registry: Any = Ids()
    settings = Kafka(bootstrap_servers="127.0.0.1:9", format=form, registry=Registry(url="http://127.0.0.1:9"))
    made = RegistryEncoding(settings, registry, Reader(registry))
    await made.run()
    return made


def messages() -> list[Event]:
    """The page's acknowledgement and user event in turn, of many records."""
    events = []
    for number in range(EVENTS):
        sample = page.USER_EVENT if number % 2 else page.ACKNOWLEDGEMENT
        data = msgspec.json.decode(msgspec.json.encode(sample["data"]))
        place, name = ("userData", "GSW_RECORD_HANDLE") if number % 2 else ("record", "recordHandle")
        data[place][name] = number % 500
        data["referenceId"] = str(number)
        events.append(Event(sample["channel"], msgspec.Raw(msgspec.json.encode(data))))
    return events


def relay(translator: Translator, events: list[Event], producer: Any) -> None:
    """Do what the relay does with a reply, short of sending it."""
    translation = translator.translate(events, session="5f1d7a84db00d2fc", first_sequence=0, received_at=1_767_268_800)
    for batch in batches(translation.records, PARTITIONS):
        append = producer.create_batch().append
        for record in batch.records:
            append(timestamp=1_767_268_800_000, key=record.key, value=record.value, headers=record.headers)


async def measure(rounds: int) -> dict[str, float]:
    """Microseconds of CPU time for one event, by format: the median of the rounds."""
    translators = {
        "json": Translator("agent"),
        "json-registry": Translator("agent", await encoding("json-registry")),
        "avro-registry": Translator("agent", await encoding("avro-registry")),
        "json, phone numbers hmac": Translator("agent", JSON, Concealment(b"a secret of some length")),
    }
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:9", max_batch_size=900_000)
    events = messages()
    times: dict[str, list[float]] = {name: [] for name in translators}
    gc.disable()
    for _ in range(rounds + 1):
        for name, translator in translators.items():
            began = time.process_time()
            relay(translator, events, producer)
            times[name].append((time.process_time() - began) / EVENTS * 1e6)
        gc.collect()
    await producer.stop()
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    costs = asyncio.run(measure(parser.parse_args().rounds))
    for name, cost in costs.items():
        print(f"{name:26} {cost:6.2f} µs an event   {cost / costs['json']:5.2f}")
    ratio = costs["avro-registry"] / costs["json"]
    print(f"avro-registry beside json: {ratio:.2f} (limit {LIMIT:g})")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
