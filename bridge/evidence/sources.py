"""Searches the topics in Kafka. A search by key reads only the partitions that can contain these keys."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias

from bridge.delivery import Period, RangeReader, partition_counts, partition_of, ranges_of, topic_name
from bridge.evidence.bundle import Missing, Searched, SearchedPartition

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Sequence

    from bridge.delivery import ConsumedRecord, PartitionRange
    from bridge.settings import Kafka

    Keep: TypeAlias = Callable[[str, bytes | None, bytes | None], bool]
    """Returns whether a record with this topic (without the prefix), key and value may belong to the search."""
    Progress: TypeAlias = Callable[[int, int], None]
    """Called with the number of records that the search has read, and the number that it will read."""

SAMPLE: Final = 200
"""Number of records at the beginning of each partition that `_look_for_moved_keys` reads."""
SLACK_MS: Final = 3_600_000
"""Milliseconds after `until` for which the search continues.

Several processes write to a partition, so its records are not exactly in the order of time."""


class Wanted(NamedTuple):
    """One topic to search. `topic` has no prefix. `since` and `until` are in ms since the epoch."""

    topic: str
    keys: Collection[str] | None
    """The keys of the wanted records. None: records with any key may be wanted."""
    reason: str
    since: int | None = None
    until: int | None = None

    def covers(self, timestamp: int) -> bool:
        """Return whether a record with this timestamp is in the period."""
        return (self.since is None or timestamp >= self.since) and (self.until is None or timestamp <= self.until)


class Source(Protocol):
    """A place where records are searched: Kafka or an archive."""

    name: Literal["kafka", "archive"]

    def search(self, wanted: Sequence[Wanted], keep: Keep, progress: Progress) -> AsyncGenerator[ConsumedRecord, None]:
        """Yield the records that `keep` accepts."""
        ...

    def report(self) -> tuple[list[Searched], list[Missing]]:
        """Return the offsets that all searches have read, and those that they could not read."""
        ...


class KafkaSource:
    """Searches the topics of the bridge in Kafka."""

    name: Literal["kafka", "archive"] = "kafka"

    def __init__(self, settings: Kafka, *, all_partitions: bool = False) -> None:
        """With `all_partitions` even a search by key reads all partitions."""
        self._settings = settings
        self._all = all_partitions
        self._moved: dict[str, bool] = {}
        """For each topic: whether partitions were added after the first records were written."""
        self._searched: list[Searched] = []
        self._missing: list[Missing] = []

    def report(self) -> tuple[list[Searched], list[Missing]]:
        """See `Source.report`."""
        return self._searched, self._missing

    async def search(
        self, wanted: Sequence[Wanted], keep: Keep, progress: Progress
    ) -> AsyncGenerator[ConsumedRecord, None]:
        """See `Source.search`.

        Raises:
            KafkaUnavailable, aiokafka.errors.KafkaError, OSError, TimeoutError: Kafka can't be reached or read.
        """
        names = {topic_name(self._settings, one.topic): one for one in wanted}
        counts = await partition_counts(self._settings, list(names))
        for name in names.keys() - counts.keys():
            self._note("topic-missing", f"Kafka has no topic {name}.")
        periods = {
            name: Period(one.since, None if one.until is None else one.until + SLACK_MS) for name, one in names.items()
        }
        every = await ranges_of(self._settings, counts, periods)
        if not self._all:
            await self._look_for_moved_keys([one for one in every if names[one.topic].keys is not None])
        ranges: list[PartitionRange] = []
        reasons: dict[str, str] = {}
        for name, count in counts.items():
            partitions, reasons[name] = self._partitions(name, count, names[name])
            ranges += [one for one in every if one.topic == name and one.partition in partitions]
        reader = RangeReader(self._settings, ranges)

        def wants(topic: str, key: bytes | None, value: bytes | None) -> bool:
            return keep(names[topic].topic, key, value)

        records = reader.records(wants, lambda: progress(reader.done, reader.total))
        async with aclosing(records):
            async for record in records:
                if names[record.topic].covers(record.timestamp):
                    yield record
        self._report_searched(reader, ranges, reasons)

    def _partitions(self, topic: str, count: int, wanted: Wanted) -> tuple[Collection[int], str]:
        """Return the partitions to search, and the reason."""
        every = range(count)
        if wanted.keys is None or self._all:
            return every, f"{wanted.reason}, in all partitions"
        if self._moved[topic]:
            return every, (
                f"{wanted.reason}, in all partitions, because some records are not in the partition to which their key "
                "belongs now"
            )
        places = {partition_of(key.encode(), count) for key in wanted.keys}
        return places, (
            f"{wanted.reason}, in the partitions of the keys; the oldest {SAMPLE} records of each partition are in the "
            "partitions of their keys"
        )

    async def _look_for_moved_keys(self, ranges: Sequence[PartitionRange]) -> None:
        """Store for each topic whether one of the oldest records is not in the partition of its key.

        Kafka can add partitions to a topic. Earlier records then stay in their partitions. They are the oldest records
        of these partitions, so a sample of the oldest records is enough.
        """
        counts = {one.topic: one.partitions for one in ranges if one.topic not in self._moved}
        reader = RangeReader(self._settings, [one.shortened(SAMPLE) for one in ranges if one.topic in counts])
        self._moved |= dict.fromkeys(counts, False)
        async with aclosing(reader.records(lambda _topic, key, _value: key is not None)) as records:
            async for record in records:
                if record.key is not None and partition_of(record.key, counts[record.topic]) != record.partition:
                    self._moved[record.topic] = True

    def _report_searched(self, reader: RangeReader, ranges: Sequence[PartitionRange], reasons: dict[str, str]) -> None:
        for topic, reason in reasons.items():
            own = [one for one in ranges if one.topic == topic]
            parts = []
            for one in own:
                reached = reader.reached(one)
                if reached.end < one.end:
                    self._note(
                        "end-hidden",
                        f"An open transaction hides the records of {topic}/{one.partition} from offset {reached.end} "
                        "on. Make the bundle again in a minute.",
                    )
                parts.append(
                    SearchedPartition(
                        partition=one.partition,
                        first=one.first,
                        since=one.start,
                        until=reached.end,
                        records=reader.read(one.place),
                    )
                )
            partitions = own[0].partitions if own else 0
            searched = Searched(topic=topic, source="kafka", reason=reason, partitions=partitions, ranges=tuple(parts))
            self._searched.append(searched)

    def _note(self, what: str, text: str) -> None:
        missing = Missing(what=what, text=text)
        if missing not in self._missing:
            self._missing.append(missing)
