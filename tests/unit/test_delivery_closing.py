"""The end of aiokafka's clients: a cancellation of the caller must not be lost in it."""

import asyncio

import pytest
from aiokafka import AIOKafkaClient

from bridge.delivery.client.connection import closed
from bridge.simulator import EmbeddedBroker


async def test_a_cancellation_while_a_client_closes_is_not_lost(broker: EmbeddedBroker) -> None:
    """A client's `close()` in aiokafka swallows a cancellation of its caller, but `closed` does not."""
    client = AIOKafkaClient(bootstrap_servers=broker.bootstrap)
    await client.bootstrap()
    closing = asyncio.create_task(closed(client.close()))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing


async def test_a_client_that_does_not_close_is_left() -> None:
    """The end of a client has a deadline, because it may wait for a broker that is gone."""
    await asyncio.wait_for(closed(asyncio.sleep(3600), 0.01), 30)
