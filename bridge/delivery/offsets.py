"""Tracks which records of a consumer group's member are not done yet, and which offsets may be committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import TopicPartition


class OffsetsInHand:
    """Records may be done in any order. Only the records before the first unfinished record may be committed."""

    def __init__(self) -> None:
        self._in_hand: dict[TopicPartition, dict[int, None]] = {}
        """The offsets that are not done, in their order."""
        self._next: dict[TopicPartition, int] = {}
        """The offset after the newest record."""
        self._committed: dict[TopicPartition, int] = {}

    def begin(self, place: TopicPartition, offset: int) -> None:
        """Add a record that has been read. Call this in the order of the partition."""
        self._in_hand.setdefault(place, {})[offset] = None
        self._next[place] = offset + 1

    def end(self, place: TopicPartition, offset: int) -> None:
        """Mark a record as done. Do nothing if the record has been removed meanwhile."""
        self._in_hand.get(place, {}).pop(offset, None)

    def first(self, place: TopicPartition) -> int | None:
        """Return the offset of the first record that is not done. None if all are done."""
        return next(iter(self._in_hand.get(place, ())), None)

    def due(self) -> dict[TopicPartition, int]:
        """Return the offset to commit for each partition in which it has changed."""
        due = {}
        for place, after in self._next.items():
            first = self.first(place)
            offset = after if first is None else first
            if offset > self._committed.get(place, -1):
                due[place] = offset
        return due

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Record that Kafka has committed these offsets."""
        self._committed.update(offsets)
