"""All slots of one process: which account belongs to which, and how many transactions are open at a time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaClient
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from bridge.delivery.client.connection import connection
from bridge.delivery.client.failures import guarded
from bridge.delivery.client.rights import view_cluster
from bridge.delivery.client.topics import create_missing_topics, position_topic, slot_of
from bridge.delivery.position.unsigned import UnsignedEvents
from bridge.delivery.slots.kafka import KafkaPublisher
from bridge.delivery.slots.slot import Slot
from bridge.events import JSON

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from bridge.delivery.position.keys import AccountKeys
    from bridge.events import Encoding
    from bridge.settings import Kafka

OPEN_TRANSACTIONS: Final = 4
"""Transactions of one process that are under way at the same time."""
LONG: Final = 1.0
"""Seconds after which a transaction lets another one begin beside it: a broker that hangs must not hold all slots."""
LOOK_AGAIN: Final = 0.1


class Gate:
    """Bounds how many transactions are under way at the same time."""

    def __init__(self, places: int = OPEN_TRANSACTIONS) -> None:
        self._places = asyncio.Semaphore(places)

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None, None]:
        """Hold one place, for `LONG` seconds at the most."""
        await self._places.acquire()
        held = True

        def give_up() -> None:
            nonlocal held
            if held:
                held = False
                self._places.release()

        giving_up = asyncio.get_running_loop().call_later(LONG, give_up)
        try:
            yield
        finally:
            giving_up.cancel()
            give_up()


class Slots:
    """The publishers of several accounts, each in its slot.

    Those of all accounts of one process; in a fleet, those of the accounts of one slot, while this replica owns it.
    Then they share the `gate` of the process, and `count` says how many slots there are; without it Kafka is asked.
    """

    def __init__(
        self,
        settings: Kafka,
        keys: Iterable[AccountKeys],
        encoding: Encoding = JSON,
        unsigned: Mapping[str, UnsignedEvents] | None = None,
        *,
        gate: Gate | None = None,
        count: int | None = None,
    ) -> None:
        self._settings = settings
        self._gate = gate or Gate()
        self._count = count
        self.in_fleet = count is not None
        """Whether these are the accounts of one slot of a fleet."""
        self._asking: asyncio.Task[int] | None = None
        self._slot_of: dict[str, Slot] = {}
        none = UnsignedEvents(age=0.0)
        self._publishers = {
            one.account: KafkaPublisher(self, settings, one, encoding, (unsigned or {}).get(one.account, none))
            for one in keys
        }

    def publisher(self, account: str) -> KafkaPublisher:
        """Return the account's publisher; there is one in a process."""
        return self._publishers[account]

    def numbers(self) -> dict[str, int]:
        """Return the number of each account's slot; nothing before Kafka has told how many slots there are."""
        return {account: slot.number for account, slot in self._slot_of.items()}

    async def slot_of(self, publisher: KafkaPublisher) -> Slot:
        """Return the publisher's slot, once Kafka has told how many slots there are.

        Raises:
            aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be asked.
        """
        if not self._slot_of and self._count is not None:
            self._place(self._count)
        if not self._slot_of:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.ensure_future(count_slots(self._settings))
            slots = await asyncio.shield(self._asking)
            if not self._slot_of:
                self._place(slots)
        return self._slot_of[publisher.account]

    async def left(self, publisher: KafkaPublisher) -> None:
        """Take a publisher out that is stopped; the last one of a slot ends the slot."""
        if publisher.account in self._slot_of:
            await self._slot_of[publisher.account].leave(publisher)
        self._publishers.pop(publisher.account, None)
        if not self._publishers and self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _place(self, slots: int) -> None:
        """Give every account its slot at once: a slot claims all its accounts together."""
        by_number: dict[int, Slot] = {}
        for account, publisher in self._publishers.items():
            number = slot_of(account, slots)
            slot = by_number.get(number)
            if slot is None:
                slot = by_number[number] = Slot(self._settings, number, self._gate)
            slot.members[account] = publisher
            self._slot_of[account] = slot


async def count_slots(settings: Kafka) -> int:
    """Return the number of partitions of the position topic; wait a while for the topic to appear.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be asked, or there is no such topic.
    """
    if settings.create_topics:
        await create_missing_topics(settings)
    topic = position_topic(settings)
    client: AIOKafkaClient = guarded(AIOKafkaClient(**connection(settings)))
    patience = asyncio.timeout(settings.request_timeout / 2)
    try:
        async with asyncio.timeout(settings.request_timeout):
            await client.bootstrap()
            async with patience:
                while True:
                    view = await view_cluster(client, settings, create=True)
                    if topic in view.partitions:
                        return view.partitions[topic]
                    if any(right.endswith(f" {topic}") for right in view.lacking):
                        raise TopicAuthorizationFailedError({topic})
                    await asyncio.sleep(LOOK_AGAIN)
    except TimeoutError:
        if not patience.expired():
            raise
        raise UnknownTopicOrPartitionError(topic) from None
    finally:
        await client.close()
