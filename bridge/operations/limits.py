"""The limits on time, number and memory of operations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings `BRIDGE_OPERATIONS__*` with the same names. Times are in seconds."""

    acknowledgement_timeout: float = 30
    concurrency: int = 32
    waiting_room: int = 256
    forward_deadline: float = 20
    async_max_age: float = 3600
    view_limit: int = 100_000
    view_bytes: int = 64 << 20
    view_age: float = 86_400
    enabled: tuple[str, ...] = ("DoNotCallRecord",)
    """The `operationName`s that may be forwarded."""
