"""A record as a consumer gets it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class ConsumedRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as a consumer receives it. `topic` is the full name. `timestamp` is in ms since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: Mapping[str, bytes]
    value: bytes | None
