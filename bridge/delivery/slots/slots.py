"""Makes the slots and publishers of a process, and limits how many transactions are open at the same time.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaClient
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from bridge.delivery.client.connection import closed, connection
from bridge.delivery.client.failures import guarded
from bridge.delivery.client.rights import view_cluster
from bridge.delivery.client.topics import create_missing_topics, position_topic, slot_of
from bridge.delivery.position.unsigned_events import UnsignedEvents
from bridge.delivery.slots.kafka_publisher import KafkaPublisher
from bridge.delivery.slots.slot import Slot
from bridge.events import JSON
from bridge.pacing import Gate

if TYPE_CHECKING:
    from bridge.delivery.position.keys import AccountKeys
    from bridge.events import Encoding
    from bridge.settings import Kafka

OPEN_TRANSACTIONS: Final = 2
"""Maximum number of simultaneous transactions of a process. Decision 12 has the measurements."""
LONG: Final = 1.0
"""Seconds after which a transaction no longer counts towards the limit, because a broker that hangs must not stop the
other slots."""
LOOK_AGAIN: Final = 0.1
"""Seconds between two requests for metadata while the position topic is missing."""


def transaction_gate() -> Gate:
    """Return a gate for the transactions of a process."""
    return Gate(OPEN_TRANSACTIONS, LONG)


class Slots:
    """The publishers of several accounts, grouped by slots. Accounts may be added while others are published.

    A single bridge has one object for all accounts. It asks Kafka for the number of slots. A replica of a fleet has one
    object for each slot that it owns. Then `count` is the number of slots, and all these objects share one `gate`.
    """

    def __init__(
        self,
        settings: Kafka,
        encoding: Encoding = JSON,
        *,
        gate: Gate | None = None,
        count: int | None = None,
    ) -> None:
        self._settings = settings
        self._encoding = encoding
        self._gate = gate or transaction_gate()
        self._count = count
        self.in_fleet = count is not None
        """Whether this process is a replica of a fleet."""
        self._asking: asyncio.Task[int] | None = None
        self._slots: dict[int, Slot] = {}
        self._publishers: dict[str, KafkaPublisher] = {}
        self._placed: dict[str, Slot] = {}

    def publisher(self, keys: AccountKeys, unsigned: UnsignedEvents | None = None) -> KafkaPublisher:
        """Make the publisher of an account. The publisher's `stop` removes the publisher again."""
        made = KafkaPublisher(self, self._settings, keys, self._encoding, unsigned or UnsignedEvents(age=0.0))
        self._publishers[keys.account] = made
        return made

    def numbers(self) -> dict[str, int]:
        """Return the number of each account's slot. Empty until the number of slots is known."""
        return {account: slot.number for account, slot in self._placed.items()}

    async def slot_of(self, publisher: KafkaPublisher) -> Slot:
        """Return the publisher's slot. If the number of slots is not known yet, read it from Kafka.

        Raises:
            aiokafka.errors.KafkaError, OSError, TimeoutError: the number of slots can't be read.
        """
        if self._count is None:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.ensure_future(count_slots(self._settings))
            count = await asyncio.shield(self._asking)
            self._count = self._count or count
        self._place(self._count)
        return self._placed[publisher.account]

    async def left(self, publisher: KafkaPublisher) -> None:
        """Remove a stopped publisher. The last publisher of a slot also ends the slot."""
        account = publisher.account
        if self._publishers.get(account) is publisher:
            del self._publishers[account]
            if account in self._placed:
                await self._placed.pop(account).leave(publisher)
        if not self._publishers and self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _place(self, count: int) -> None:
        """Assign all new accounts to slots in one step, because a slot takes all its accounts over together."""
        for account in self._publishers.keys() - self._placed.keys():
            number = slot_of(account, count)
            slot = self._slots.get(number)
            if slot is None:
                slot = self._slots[number] = Slot(self._settings, number, self._gate)
            slot.members[account] = self._publishers[account]
            self._placed[account] = slot


async def count_slots(settings: Kafka) -> int:
    """Return the number of partitions of the position topic. Wait up to half of `request_timeout` for a missing topic.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached, or the topic does not exist.
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
                    view = await view_cluster(client, settings)
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
        await closed(client.close())
