"""Fences the producers of other processes. A fenced producer can't publish any more, and Kafka ends its transaction.

A second bridge with the same slot usually has the same transactional ids. Then the start of a slot's own producers
fences it (`SlotProducers.start` in `bridge.delivery.slots.commit`). This module fences producers with other ids,
without a new producer for each id. `bridge.delivery.slots.takeover` decides which ids need this.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaClient
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NoError,
    NotCoordinatorError,
    TransactionalIdAuthorizationFailed,
    for_code,
)

from bridge.delivery.client.aiokafka_internals.producing import take_transactional_id
from bridge.delivery.client.connection import closed, connection, milliseconds
from bridge.delivery.client.failures import guarded
from bridge.delivery.client.producer import transaction_timeout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.settings import Kafka

CONCURRENCY: Final = 16
"""Maximum number of simultaneous requests."""
PAUSE: Final = 0.02
"""Seconds until the next attempt, while the coordinator is busy or unknown."""
_AGAIN: Final = (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NotCoordinatorError,
)


async def fence(settings: Kafka, transactional_ids: Iterable[str]) -> set[str]:
    """Fence every producer that uses one of these ids. Kafka also commits or aborts the open transactions of the ids.

    Returns the ids that this client lacks the right to use. Producers with these ids are not fenced.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached, or does not answer in time.
    """
    client: AIOKafkaClient = guarded(AIOKafkaClient(**connection(settings)))
    places = asyncio.Semaphore(CONCURRENCY)
    denied: set[str] = set()

    async def fence_one(transactional_id: str) -> None:
        async with places:
            if not await _fenced(client, settings, transactional_id):
                denied.add(transactional_id)

    try:
        async with asyncio.timeout(settings.request_timeout):
            await client.bootstrap()
            await asyncio.gather(*(fence_one(one) for one in transactional_ids))
    finally:
        await closed(client.close())
    return denied


async def _fenced(client: AIOKafkaClient, settings: Kafka, transactional_id: str) -> bool:
    """Fence the producers of one id. Return False if the right to use the id is missing."""
    timeout_ms = milliseconds(transaction_timeout(settings))
    while True:
        try:
            error = for_code(await take_transactional_id(client, transactional_id, timeout_ms))
        except TransactionalIdAuthorizationFailed:
            return False
        except _AGAIN:
            pass
        else:
            if error in {NoError, TransactionalIdAuthorizationFailed}:
                return error is NoError
            if error not in _AGAIN:
                raise error(transactional_id)
        await asyncio.sleep(PAUSE)
