"""A record as a consumer gets it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class ConsumedRecord(msgspec.Struct, frozen=True, gc=False):
    """One record as a consumer gets it; `topic` is its whole name, `timestamp` in ms since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: Mapping[str, bytes]
    value: bytes | None
