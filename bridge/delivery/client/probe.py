"""Checks regularly whether Kafka answers and gives the bridge all necessary rights.

A publisher without events to publish would not notice an outage of Kafka or a missing right.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka import AIOKafkaClient

from bridge.delivery.client.connection import closed, connection, connection_trouble
from bridge.delivery.client.failures import FAILURES, guarded, reason
from bridge.delivery.client.rights import creation_refusals, may_use, needed_transactional_ids, view_cluster

if TYPE_CHECKING:
    from collections.abc import Collection

    from bridge.settings import Kafka

log = structlog.get_logger(__name__)

INTERVAL: Final = 3.0
"""Seconds between two checks."""
SOON: Final = 1.0
"""Seconds between two checks while a topic or a right is missing, because somebody may be correcting the fault."""
DEADLINE: Final = 3.0
"""Seconds that Kafka may take to answer."""
AGAIN: Final = 0.2
"""Seconds that the probe waits before it asks another broker."""
PATIENCE: Final = 6.0
"""Seconds without an answer after which Kafka counts as unusable, although a broker still accepts connections."""
NOT_ASKED: Final = "not asked yet"


class KafkaProbe:
    """Checks Kafka in `run`. `reason` says why Kafka can't be used, and is None while it can be used.

    `accounts` are the names of the accounts. The collection may change between two checks.
    """

    def __init__(self, settings: Kafka, accounts: Collection[str]) -> None:
        self._settings = settings
        self._accounts = accounts
        self.reason: str | None = NOT_ASKED
        self._answered_at = -math.inf

    @property
    def finding(self) -> str | None:
        """The same as `reason`, but None until the first check has ended."""
        return None if self.reason is NOT_ASKED else self.reason

    async def run(self) -> None:
        """Check Kafka again and again, until cancelled."""
        while True:
            try:
                await self._ask_on()
            except FAILURES as error:
                trouble = await connection_trouble(self._settings, DEADLINE)
                if trouble is None and self._may_be_one_broker(error):
                    await asyncio.sleep(AGAIN)
                    continue
                self._found(trouble or reason(error, self._settings.ssl_certfile))
            await asyncio.sleep(INTERVAL)

    def _may_be_one_broker(self, error: BaseException) -> bool:
        """Return whether another broker may answer, after an error of the broker that was asked.

        A rolling restart of Kafka would otherwise make every replica unready at each restart of a broker. A timeout is
        different, because the broker had its time to answer.
        """
        return not isinstance(error, TimeoutError) and time.monotonic() - self._answered_at < PATIENCE

    async def _ask_on(self) -> None:
        client = guarded(AIOKafkaClient(**connection(self._settings)))
        try:
            async with asyncio.timeout(DEADLINE):
                await client.bootstrap()
            while True:
                async with asyncio.timeout(DEADLINE):
                    found = await self._look(client)
                self._answered_at = time.monotonic()
                self._found(found)
                await asyncio.sleep(INTERVAL if found is None else SOON)
        finally:
            await closed(client.close())

    async def _look(self, client: AIOKafkaClient) -> str | None:
        seen = await view_cluster(client, self._settings)
        needed = needed_transactional_ids(self._settings, self._accounts, seen)
        ids = [name for name in needed if not await may_use(client, name)]
        lacking = seen.lacking + [f"write on transactional id {name}" for name in ids]
        if lacking:
            return f"not authorised: {', '.join(lacking)}"
        if (fault := seen.position_fault(self._settings)) is not None:
            return fault
        if not seen.unknown:
            return None
        if not self._settings.create_topics:
            return f"unknown topic {', '.join(seen.unknown)}"
        refused = {} if seen.creates_on_use else await creation_refusals(client, self._settings, seen.unknown)
        if not refused:
            return None  # the publisher is about to create them
        return (
            f"topics are missing and can't be created: {', '.join(f'{name} ({why})' for name, why in refused.items())}"
        )

    def _found(self, reason: str | None) -> None:
        """Store the result, and log a line if it is a new problem."""
        if reason not in {None, self.reason}:
            log.warning("kafka-unusable", reason=reason)
        self.reason = reason
