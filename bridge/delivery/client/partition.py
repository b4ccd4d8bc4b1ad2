"""Chooses the partition for a key, with the same result as Kafka's Java client."""

from __future__ import annotations

import struct
from functools import lru_cache

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995
WORD = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """Return the MurmurHash2 of `org.apache.kafka.common.utils.Utils.murmur2` as an unsigned 32-bit number."""
    length = len(key)
    digest = SEED ^ length
    words = length >> 2
    for word in struct.unpack_from(f"<{words}I", key):
        mixed = word * MULTIPLIER & WORD
        digest = (digest * MULTIPLIER & WORD) ^ ((mixed ^ mixed >> 24) * MULTIPLIER & WORD)
    if length & 3:
        digest = (digest ^ int.from_bytes(key[words << 2 :], "little")) * MULTIPLIER & WORD
    digest = (digest ^ digest >> 13) * MULTIPLIER & WORD
    return digest ^ digest >> 15


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition for a key in a topic with `partitions` partitions (`BuiltInPartitioner.partitionForKey`)."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
