"""The demo's events, as read back from Kafka."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from bridge.commands.output.reading import read_json
from bridge.errors import CommandFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from bridge.delivery import ConsumedRecord
    from bridge.settings import Kafka

SILENCE: Final = 30.0
"""Seconds without an event after which the demo has failed."""


async def events(kafka: Kafka) -> AsyncGenerator[ConsumedRecord, None]:
    """Yield every event on the bridge's topics, from the beginning, for ever.

    Raises:
        CommandFailed: no event arrived for `SILENCE` seconds.
    """
    async with aclosing(read_json(kafka, from_beginning=True)) as records:
        while True:
            try:
                async with asyncio.timeout(SILENCE):
                    record = await anext(records)
            except TimeoutError:
                raise CommandFailed(f"no event arrived from Kafka for {SILENCE:g} s") from None
            yield record
