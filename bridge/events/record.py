"""A Kafka record, independent of any Kafka library."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Headers: TypeAlias = list[tuple[str, bytes]]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record to publish. `topic` has no prefix (`acknowledgements.v1`). The key and the header values are UTF-8."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers
