"""What an event looks like to Kafka, without a word of any Kafka library."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Headers: TypeAlias = list[tuple[str, bytes]]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record to be published.

    `topic` is the name without the prefix (`acknowledgements.v1`); `key`, `value` and header values are UTF-8.
    """

    topic: str
    key: bytes
    value: bytes
    headers: Headers
