"""Which offset of a partition may be committed."""

from __future__ import annotations

from aiokafka import TopicPartition

from bridge.delivery.offsets import OffsetsInHand

PLACE = TopicPartition("t", 0)


def test_only_what_is_before_the_first_open_record() -> None:
    """Records may be done in any order, and gaps in the offsets (of transactions) don't matter."""
    offsets = OffsetsInHand()
    for offset in (3, 5, 6, 9):
        offsets.begin(PLACE, offset)
    offsets.end(PLACE, 5)
    assert (offsets.first(PLACE), offsets.due()) == (3, {PLACE: 3})
    offsets.committed({PLACE: 3})
    assert offsets.due() == {}
    offsets.end(PLACE, 3)
    assert offsets.due() == {PLACE: 6}
    offsets.end(PLACE, 6)
    offsets.end(PLACE, 9)
    offsets.end(PLACE, 9)
    assert (offsets.first(PLACE), offsets.due()) == (None, {PLACE: 10})
