"""Requests on the request topic, and what became of them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.faults.bridge_process import BridgeProcess
from tests.faults.operations import forwarded, ledger
from tests.faults.site import Site
from tests.page import REQUEST
from tests.real import kafka_admin
from tests.waiting import eventually

ON = {"OPERATIONS__REQUEST_TOPIC": "true"}
HEADERS = {"ce_specversion": b"1.0", "ce_id": b"7", "ce_source": b"/crm", "ce_type": b"gws.request.v1"}
BODY = {name: value for name, value in REQUEST.items() if name != "referenceId"}


class RequestTopic:
    """The request topic of a site: another program that writes to it, and the group that reads it."""

    def __init__(self, site: Site, producer: AIOKafkaProducer) -> None:
        self._site = site
        self._producer = producer
        self.name = f"{site.prefix}.requests.v1"
        self.group = f"{site.prefix}.requests"
        self.sent: list[str] = []
        """The references of all valid requests."""

    async def request(self, *references: str) -> None:
        """Send valid requests, each about a record of its own."""
        for reference in references:
            handle = len(self.sent) + 1
            self.sent.append(reference)
            value = msgspec.json.encode({"account": None, "recordHandle": handle, "request": BODY})
            await self.put(reference.encode(), value)
        await self._producer.flush()

    async def put(self, key: bytes | None, value: bytes | None, **headers: bytes) -> None:
        """Send any record, without waiting for Kafka."""
        await self._producer.send(self.name, value, key=key, headers=[*(HEADERS | headers).items()])

    async def flush(self) -> None:
        """Wait until Kafka has all records."""
        await self._producer.flush()

    async def left(self) -> int:
        """How many records the group has not committed."""
        async with kafka_admin(self._site.kafka.bootstrap) as admin:
            committed = await admin.list_consumer_group_offsets(self.group)
        offsets = {place: one.offset for place, one in committed.items()}
        partitions = await self._producer.partitions_for(self.name)
        places = [TopicPartition(self.name, partition) for partition in partitions]
        ends = await self._ends(places)
        return sum(ends[place] - max(0, offsets.get(place, 0)) for place in places)

    async def _ends(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._site.kafka.bootstrap)
        await consumer.start()
        try:
            ends: dict[TopicPartition, int] = await consumer.end_offsets([*places])
            return ends
        finally:
            await consumer.stop()

    async def all_committed(self, *, within: float = 60) -> None:
        """Wait until the group has committed every record."""

        async def none_left() -> bool:
            return await self.left() == 0

        await eventually(none_left, within=within)

    async def ended(self, *, within: float = 60, unanswered: bool = False) -> dict[str, int]:
        """Wait until all requests are acknowledged. Return how often Web Services got each, which the ledger must tell.

        A request may have been forwarded twice only if an event of its operation has attempt 2. With `unanswered` some
        requests may end by the time-out instead: those that Web Services had in hand when it went away.
        """
        ends = {"acknowledged", "timed-out"} if unanswered else {"acknowledged"}

        async def all_ended() -> bool:
            told = await ledger(self._site)
            return all(any(event.status in ends for event in told.get(reference, ())) for reference in self.sent)

        await eventually(all_ended, within=within)
        told, times = await ledger(self._site), await forwarded(self._site)
        for reference in self.sent:
            events = told[reference]
            attempts = max(event.attempt for event in events)
            if events[-1].status == "timed-out":
                assert [event.status for event in events] == ["requested", "timed-out"], reference
                assert times[reference] <= 1
            else:
                assert 1 <= times[reference] <= attempts, (reference, times[reference], attempts)
        return {reference: times[reference] for reference in self.sent}


@asynccontextmanager
async def request_topic(site: Site) -> AsyncIterator[RequestTopic]:
    """Another program that sends requests. A bridge with `ON` must have created the topic."""
    producer = AIOKafkaProducer(bootstrap_servers=site.kafka.bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        yield RequestTopic(site, producer)
    finally:
        await producer.stop()


async def paused(bridge: BridgeProcess, reason: str) -> bool:
    """Whether the bridge does not read the topic for this reason."""
    return await bridge.metric("bridge_requests_paused", reason=reason) == 1


def numbered(first: int, count: int) -> list[str]:
    """So many references."""
    return [f"r-{number}" for number in range(first, first + count)]
