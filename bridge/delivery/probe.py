"""Asks Kafka regularly whether it is there: a publisher with nothing to publish would not notice that it is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiokafka.client import AIOKafkaClient

from bridge.delivery.connection import connection
from bridge.delivery.failures import FAILURES, reason

if TYPE_CHECKING:
    from bridge.settings import Kafka

INTERVAL: Final = 3.0
"""Seconds between two questions."""
DEADLINE: Final = 3.0
"""Seconds for an answer."""


class KafkaProbe:
    """Tells in `reason` why Kafka does not answer; None while it does."""

    def __init__(self, settings: Kafka) -> None:
        self._settings = settings
        self.reason: str | None = "not asked yet"

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            client = AIOKafkaClient(**connection(self._settings))
            try:
                async with asyncio.timeout(DEADLINE):
                    await client.bootstrap()
                while True:
                    async with asyncio.timeout(DEADLINE):
                        await client.fetch_all_metadata()
                    self.reason = None
                    await asyncio.sleep(INTERVAL)
            except FAILURES as error:
                self.reason = reason(error)
            finally:
                await client.close()
            await asyncio.sleep(INTERVAL)
