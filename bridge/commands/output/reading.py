"""Reads published events for commands, and converts their values from every format to JSON."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from bridge.delivery import read
from bridge.registry import encoding_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from bridge.delivery import ConsumedRecord
    from bridge.settings import Kafka


async def read_json(
    settings: Kafka,
    topics: Sequence[str] | None = None,
    *,
    from_beginning: bool = False,
    since: float | None = None,
    until_end: bool = False,
) -> AsyncGenerator[ConsumedRecord, None]:
    """Read records like `bridge.delivery.read`, with JSON values. A value of an unknown schema is not converted.

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached or read.
        RegistryUnavailable: the registry can't be asked for the schema of a value.
        SettingsError: the settings name a registry, and the extra `registry` is not installed.
    """
    encoding = encoding_of(settings)
    reading = read(settings, topics, from_beginning=from_beginning, since=since, until_end=until_end)
    async with aclosing(reading) as records:
        async for record in records:
            value = record.value
            yield record if value is None else msgspec.structs.replace(record, value=await encoding.json_of(value))
