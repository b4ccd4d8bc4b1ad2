"""The partition of a key."""

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from bridge.delivery.client.partition import FEW, murmur2, murmur2_of_all, partition_of, partitions_of

JAVA_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""From Kafka's UtilsTest.testMurmur2."""


@pytest.mark.parametrize(("key", "digest"), JAVA_VECTORS.items())
def test_murmur2_is_javas(key: bytes, digest: int) -> None:
    """The digest is the one that Kafka's Java client computes."""
    assert murmur2(key) == digest & 0xFFFFFFFF


@given(st.binary(max_size=200))
def test_murmur2_agrees_for_every_key(key: bytes) -> None:
    """Keys of every length and content have the digest of the reference in aiokafka."""
    assert murmur2(key) == aiokafka_murmur2(key)


@given(st.integers(0, 40).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), max_size=4 * FEW)))
def test_the_digests_of_many_keys_together(keys: list[bytes]) -> None:
    """Keys of the same length that are computed together have the digests of the reference in aiokafka, in order."""
    assert list(murmur2_of_all(keys)) == [aiokafka_murmur2(key) for key in keys]


def test_the_digests_of_many_long_keys_together() -> None:
    """Digests that are computed together keep apart, also for thousands of long keys."""
    keys = [*[b"\xff" * 1023] * FEW, *(b"%01023d" % number for number in range(4000))]
    assert list(murmur2_of_all(keys)) == [aiokafka_murmur2(key) for key in keys]


@given(st.sets(st.binary(max_size=3) | st.binary(max_size=50)), st.integers(1, 1000))
def test_partitions_of_many_keys(keys: set[bytes], partitions: int) -> None:
    """Keys of any lengths get the same partitions together as each of them alone."""
    assert partitions_of(keys, partitions) == {key: partition_of(key, partitions) for key in keys}


@given(st.binary(max_size=50), st.integers(1, 1000))
def test_a_partition_is_within_the_topic(key: bytes, partitions: int) -> None:
    """The partition is one of the topic's."""
    assert 0 <= partition_of(key, partitions) < partitions
